"""Open the splits of a case data set: in a folder, of a builder or on the Hub, all in one way."""

import glob
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict, Unpack

from datasets import (
    Dataset,
    DatasetDict,
    Features,
    NamedSplit,
    ReadInstruction,
    concatenate_datasets,
)
from datasets.exceptions import DatasetGenerationError

from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.hub_errors import explained_access
from raddiag_hf.data.case_splits import (
    CaseDataError,
    CaseSplit,
    CaseSplits,
    with_counts,
)
from raddiag_hf.data.label_choice import choose_labels, split_label_choice
from raddiag_hf.data.model_labels import check_model_labels
from raddiag_hf.data.publishers.loading import (
    BuilderOptionError,
    builder_names,
    is_builder,
    load_builder,
    load_dataset,
)
from raddiag_hf.data.store.case import knows_studies
from raddiag_hf.data.store.case_metadata import case_columns, case_label_sets, read_metadata
from raddiag_hf.data.store.case_store import CaseStorageError, CaseStore, is_case_store
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

_HUB = "hf://datasets/"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@.+)?")


class SourceOptions(TypedDict, total=False):
    """What some data sets need beside their name.

    Attributes:
        name: Configuration, where there are several.
        data_dir: For builders: the folder that was downloaded from the publisher.
        options: For builders: fields of their configuration.
        revision: For the Hub: branch, tag or commit.
        token: For the Hub: access token; the stored one if None.
    """

    name: str | None
    data_dir: Path | str | None
    options: Mapping[str, Any]
    revision: str | None
    token: str | bool | None


@contextmanager
def named_faults(location: str) -> Iterator[None]:
    """Turn whatever is wrong with a data set, wherever in the block it shows, into one error.

    Raises:
        CaseDataError: If the block meets damaged files or values; the message names the data set.
    """
    try:
        with explained_access(location):
            yield
    except (CaseStorageError, BuilderOptionError, FileNotFoundError) as error:
        raise CaseDataError(_naming(location, error)) from error
    except (InputError, OSError):
        raise
    except DatasetGenerationError as error:
        raise CaseDataError(_naming(location, error.__cause__ or error)) from error
    except ValueError as error:  # Arrow's errors are among them
        raise CaseDataError(_naming(location, error)) from error


def find_cases(
    dataset: Path | str,
    **source: Unpack[SourceOptions],
) -> CaseStore | Mapping[str, Dataset]:
    """Find a whole data set, before split and label column are chosen.

    Args:
        dataset: A folder, the name or script of a builder, or a data set on the Hub,
            ``"<namespace>/<name>"``, also with ``hf://datasets/`` before it and ``@revision``
            behind it. One in our layout may lie at any address that fsspec opens.
        **source: See `SourceOptions`.

    Returns:
        The store, where it is in our layout; nothing else is read. Of builders and other layouts,
        all splits, prepared.

    Raises:
        CaseDataError: If it is no case data set.
        DataSourceError: If the files of a builder are not as the publisher describes them.
        HubAccessError: If the Hub refuses.
        OSError: If the disk does.
    """
    revision, token = source.get("revision"), source.get("token")
    name, data_dir, options = source.get("name"), source.get("data_dir"), source.get("options")
    location = _location(dataset, revision)
    with named_faults(location):
        is_address = isinstance(dataset, str) and "://" in dataset
        if not (is_address or Path(dataset).exists() or is_builder(dataset) or _is_on_hub(dataset)):
            raise CaseDataError(
                f"{location}: no such folder; expected one, the name of a builder "
                f"({', '.join(builder_names())}), or a data set on the Hub, <namespace>/<name>"
            )
        if not is_address and not is_builder(dataset) and Path(dataset).is_file():
            raise CaseDataError(
                f"{location}: is a file, expected the folder of a case data set; `raddiag dataset "
                "import` makes one of a manifest"
            )
        if name is None and data_dir is None and not options and not is_builder(dataset):
            store = _find_store(dataset, location, token)
            if store is not None:
                return store
        path, _, named = str(dataset).removeprefix(_HUB).partition("@")
        if not _is_on_hub(dataset):
            path, named = str(dataset), ""
        loaded = load_dataset(
            path,
            name,
            data_dir=data_dir,
            revision=named or revision,
            token=token,
            **(options or {}),
        )
        if not isinstance(loaded, DatasetDict):
            raise CaseDataError(f"{location}: expected splits, found {type(loaded).__name__}")
        case_columns(loaded)
        return loaded


def open_cases(
    dataset: Path | str,
    splits: Sequence[str] | Mapping[str, str] | None = None,
    *,
    label_column: str | None = None,
    config: RadDiagConfig | None = None,
    check_patients: bool = True,
    **source: Unpack[SourceOptions],
) -> CaseSplits:
    """Open splits of a data set; no pixel is decoded.

    Of a data set in our layout, no other split is read or downloaded.

    Args:
        dataset: As `find_cases` takes it.
        splits: Names of splits, or what each is for -> which cases it has, such as
            ``{"train": "train[:90%]", "validation": "train[90%:]"}``. None opens all.
        label_column: The label space: a column, or such as ``disorders:200``, the 200 labels of one
            with the most training cases, and the cases that have any; see `choose_labels`. None
            takes that of the model, or the only one.
        config: Of the model that is to meet the cases; its labels have to be theirs.
        check_patients: Whether a patient with cases in two of the splits is refused.
        **source: See `SourceOptions`.

    Raises:
        CaseDataError: If it is no case data set, has no such split or label column, the label
            column is not clear, or a patient is in two splits.
        LabelMismatchError: If the labels are not the model's.
        DataSourceError, HubAccessError, OSError: See `find_cases`.

    Example:
        >>> cases = open_cases("cases")
        >>> cases["train"].label_counts
        [4, 4, 4]
    """
    location = _location(dataset, source.get("revision"))
    found = find_cases(dataset, **source)
    with named_faults(location):
        label_sets = _label_sets(found, dataset, source, label_column)
        choice = choose_labels(location, label_sets, label_column, config)
        if config is not None:
            check_model_labels(config, choice.label_set, choice.name)
        takes_all = splits is None
        if splits is None:
            splits = [str(one) for one in (found.shards if isinstance(found, CaseStore) else found)]
        if not isinstance(splits, Mapping):
            splits = {split: split for split in splits}
        opened: dict[str, CaseSplit] = {}
        for purpose, cases in splits.items():
            rows, files = _read(found, cases, location)
            if takes_all and len(rows) == 0:
                continue
            if len(rows) == 0:
                raise CaseDataError(f"{location}: split {cases!r} has no cases")
            one = CaseSplit(
                location,
                str(purpose),
                choice.column,
                label_sets[choice.column],
                rows,
                read_metadata({purpose: rows}),
                files,
            )
            if choice.label_ids is not None:
                one = one.with_labels(choice.name, choice.label_ids, choice.label_set.names)
            if len(one) == 0:
                raise CaseDataError(
                    f"{location}: no case of split {cases!r} has one of the labels {choice.name}"
                )
            opened[str(purpose)] = one
        if not opened:
            raise CaseDataError(f"{location}: has no cases")
    if check_patients:
        _check_patients(opened)
    _tell_of_studies(location, case_columns(found), opened.values())
    return CaseSplits(with_counts(opened))


def count_labels(dataset: Path | str, cases: CaseSplit) -> tuple[int, ...]:
    """Return how many cases of a whole data set, all splits together, have each label of a split.

    No pixel is read.

    Args:
        dataset: As `find_cases` takes it.
        cases: A split of it.

    Raises:
        CaseDataError: If it is no case data set.
        DataSourceError, HubAccessError, OSError: See `find_cases`.
    """
    found = find_cases(dataset)
    with named_faults(_location(dataset, None)):
        column, label_ids = cases.stored_labels or (cases.label_column, range(len(cases.label_set)))
        counts = read_metadata(found).labels[column].astype(int).sum(axis=0)
    return tuple(int(counts[label]) for label in label_ids)


def _is_on_hub(dataset: Path | str) -> bool:
    """Tell whether a data set is named by its Hub id or address."""
    if not isinstance(dataset, str) or Path(dataset).exists():
        return False
    return _HUB_ID.fullmatch(dataset.removeprefix(_HUB)) is not None and not is_builder(dataset)


def _location(dataset: Path | str, revision: str | None) -> str:
    """Return what messages and records call a data set."""
    return str(dataset).removeprefix(_HUB) + (f"@{revision}" if revision else "")


def _find_store(dataset: Path | str, location: str, token: str | bool | None) -> CaseStore | None:
    """Return a data set in our layout; None for one that `datasets` has to prepare."""
    text = str(dataset)
    if Path(text).is_dir():
        is_ours = is_case_store(text) or not any(Path(text).rglob("*.parquet"))
        return CaseStore.open(text) if is_ours else None
    if _is_on_hub(dataset):
        address = f"{_HUB}{location}"
        return CaseStore.open(address, token) if is_case_store(address, token) else None
    if "://" in text:
        return CaseStore.open(text, token)
    return None


def _label_sets(
    found: CaseStore | Mapping[str, Dataset],
    dataset: Path | str,
    source: SourceOptions,
    label_column: str | None,
) -> Mapping[str, LabelSet]:
    """Return what is known of the labels of each column.

    Builders know codes and definitions, which the columns of built cases do not say; training cases
    are counted here where the most frequent labels are asked for.
    """
    label_sets = case_label_sets(found)
    if isinstance(found, CaseStore):
        return label_sets
    if is_builder(dataset):
        builder = load_builder(
            dataset,
            source.get("name"),
            data_dir=source.get("data_dir"),
            **(source.get("options") or {}),
        )
        label_sets = builder.label_sets()
    if split_label_choice(label_column or "")[1] is None or Split.TRAIN not in found:
        return label_sets
    metadata = read_metadata({Split.TRAIN: found[Split.TRAIN]})
    return {
        column: one.with_counts({Split.TRAIN: metadata.labels[column].astype(int).sum(0).tolist()})
        for column, one in label_sets.items()
    }


def _read(
    found: CaseStore | Mapping[str, Dataset], cases: str, location: str
) -> tuple[Dataset, tuple[tuple[str, int], ...]]:
    """Return the rows that a split's name, or slices of splits, stand for, and their files."""
    available = found.shards if isinstance(found, CaseStore) else found
    chosen: list[Dataset] = []
    states: list[tuple[str, int]] = []
    for part in cases.split("+"):
        split = re.split(r"[\[%]", part)[0].strip()
        if split not in available:
            raise CaseDataError(
                f"{location}: has no split {split!r}, only {', '.join(map(str, available))}"
            )
        if isinstance(found, CaseStore):
            # By its files, so that no other split is downloaded and prepared, and so that
            # `datasets` does not answer with the cases of another folder of that name.
            files = found.shard_files(Split(split))
            states += [(Path(address).name, size) for address, size in files]
            rows = Dataset.from_parquet(
                [_escaped(address) for address, _ in files],
                split=NamedSplit(split),
                token=found.token,
            )
        else:
            rows = found[split]
        for piece in ReadInstruction.from_spec(part.strip()).to_absolute({split: len(rows)}):
            first = piece.from_ or 0
            last = len(rows) if piece.to is None else piece.to
            chosen.append(rows if last - first == len(rows) else rows.select(range(first, last)))
    rows = chosen[0] if len(chosen) == 1 else concatenate_datasets(chosen)
    return rows, tuple(states)


def _escaped(address: str) -> str:
    """Return an address as a pattern that stands for nothing else, as `datasets` expects one."""
    return address if "://" in address else glob.escape(address)


def _naming(location: str, error: BaseException) -> str:
    text = one_line(error)
    return text if location in text else f"{location}: {text}"


def _tell_of_studies(location: str, features: Features, splits: Iterable[CaseSplit]) -> None:
    """Say where modality slots are counted through studies that nobody can tell apart."""
    if knows_studies(features):
        return
    for split in splits:
        of_scans = (split.metadata.scan_cases, split.metadata.scan_modalities)
        counted = Counter(zip(*(one.tolist() for one in of_scans), strict=True))
        if max(counted.values(), default=0) > 1:
            logger.warning(
                "%s: says no study of its scans; those of one modality in a case count as one",
                location,
            )
            return


def _check_patients(splits: Mapping[str, CaseSplit]) -> None:
    homes = Counter(patient for one in splits.values() for patient in set(one.patient_ids))
    if shared := sum(count > 1 for count in homes.values()):
        location = next(iter(splits.values())).location
        raise CaseDataError(
            f"{location}: {shared} of {len(homes)} patients have cases in more than one split of "
            f"{', '.join(splits)}, so no number measured on them would hold; choose or build "
            "splits without a patient in common"
        )
