"""Write a case data set: in parallel, resumable, and either complete or absent."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from datasets import Features
from datasets.utils import tqdm

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.fingerprint import fingerprint
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.data.store.case import Case, case_features, encode_case
from raddiag_hf.data.store.case_metadata import CaseMetadata, read_metadata
from raddiag_hf.data.store.case_store import (
    DATA_FOLDER,
    LABEL_SET_FOLDER,
    PLAN_FILE,
    SHARD_COUNTS,
    CaseStore,
    shard_name,
)
from raddiag_hf.data.store.dataset_card import CARD_FILE, render_card
from raddiag_hf.data.store.rejection import (
    NothingBuiltError,
    Rejection,
    read_rejections,
    write_rejections,
)
from raddiag_hf.data.store.shard_writer import ROW_GROUP_CASES, write_shard
from raddiag_hf.data.store.storage_options import LOSSLESS, StorageOptions
from raddiag_hf.data.store.worker_processes import Advance, run_in_processes
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

REJECTED_FILE = "rejected.csv"
CONTENT_FOLDER, REJECTED_FOLDER = "content", "rejected"
"""Folders of an unfinished build: what becomes the data set, and the rejections of each shard."""
LARGEST_SHARD_CASES = 256
FEWEST_SHARDS = 16


@dataclass(frozen=True)
class BuiltCase:
    """What became of one item: a case, or none; and what of it was left out."""

    case: Case | None
    rejections: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class _Shard(Generic[Item]):
    """One file to write, and all that a worker process needs for it."""

    path: Path
    rejected_path: Path
    items: tuple[Item, ...]
    build_case: Callable[[Item], BuiltCase]
    features: Features
    storage: StorageOptions


def write_cases(
    output: Path | str,
    items: Mapping[Split, Mapping[str, Item]],
    build_case: Callable[[Item], BuiltCase],
    label_sets: Mapping[str, LabelSet],
    *,
    card_text: str,
    card_metadata: Mapping[str, Any] | None = None,
    storage: StorageOptions = LOSSLESS,
    source_fingerprint: str = "",
    num_proc: int = 1,
    unknown_in: Collection[str] = (),
) -> CaseStore:
    """Build all cases and write them as sharded Parquet that ``datasets.load_dataset`` reads.

    Shards are built in a hidden folder beside ``output``, which takes its place when all are done.
    A run that was interrupted, even killed, is resumed by calling this again with equal arguments:
    finished shards are kept, and the result is the same as that of an undisturbed run.

    Args:
        output: Folder to make; absent, empty, or already complete by an equal call.
        items: Split -> key -> whatever ``build_case`` makes a case of, such as paths. Keys
            identify the items between runs. Order is kept.
        build_case: Makes one case; with several processes, one that pickle can name. It gives the
            same for the same item every time. What it raises ends the run.
        label_sets: Label column -> label set. The cases of each split are counted afterwards.
        card_text: The README in Markdown, without front matter.
        card_metadata: Front matter, such as ``license``; see `render_card` for what is added.
        storage: How much of each scan is kept.
        source_fingerprint: Stands for everything else that decides the content: version of the
            source, a manifest's digest, options of ``build_case``.
        num_proc: Processes that build shards.
        unknown_in: Label columns that have labels of which nobody knows whether a case has them.

    Returns:
        The data set.

    Raises:
        RunFolderError: If ``output`` or the unfinished folder holds something else.
        RunInProgressError: If another run is making ``output``.
        CaseStorageError: If every case was rejected, or one is too large.
        ValueError: If a case does not fit the columns, or two cases share an id.
        RuntimeError: If a worker process was killed.
    """
    output = Path(output).resolve()  # of a link, the folder that it leads to is made
    staging = output.with_name(f".{output.name}.incomplete")
    content = staging / CONTENT_FOLDER
    features = case_features(label_sets, unknown_in)
    plan = _plan(items, label_sets, storage, source_fingerprint)
    if not _is_complete(output, plan):
        with RunFolder(output, work=staging, record=PLAN_FILE).claim(plan):
            if not _is_complete(output, plan):  # by another run that has just ended
                for folder in (DATA_FOLDER, LABEL_SET_FOLDER, f"../{REJECTED_FOLDER}"):
                    (content / folder).mkdir(parents=True, exist_ok=True)
                for leftover in staging.rglob(".*.tmp"):
                    leftover.unlink()
                shards = list(_shards(staging, items, build_case, features, storage))
                _write_shards(shards, output.name, num_proc)
                try:
                    counts = _finish(staging, label_sets, card_text, card_metadata or {})
                except NothingBuiltError:
                    shutil.rmtree(staging, ignore_errors=True)  # nothing to resume
                    raise
                RunFolder(content, record=PLAN_FILE).write_record(plan, **{SHARD_COUNTS: counts})
                if output.exists():
                    output.rmdir()
                content.rename(output)
    shutil.rmtree(staging, ignore_errors=True)
    return CaseStore.open(output)


def _is_complete(output: Path, plan: Mapping[str, Any]) -> bool:
    """Tell whether the data set is there; raise if another one is."""
    folder = RunFolder(output, record=PLAN_FILE)
    if not folder.record_path.is_file():
        return False
    folder.compare(plan)
    logger.info("%s is complete already", output)
    return True


def _write_shards(shards: Sequence[_Shard[Item]], name: str, num_proc: int) -> None:
    """Write those that are not there yet."""
    missing = [shard for shard in shards if not shard.path.exists()]
    total = sum(len(shard.items) for shard in shards)
    remaining = sum(len(shard.items) for shard in missing)
    with tqdm(
        total=total, initial=total - remaining, unit="case", desc=name, disable=None
    ) as progress:
        for written in run_in_processes(_write_shard, missing, num_proc, progress.update):
            logger.info("wrote %s", written)


def _plan(
    items: Mapping[Split, Mapping[str, Item]],
    label_sets: Mapping[str, LabelSet],
    storage: StorageOptions,
    source_fingerprint: str,
) -> dict[str, Any]:
    """Return what must be equal for a run to continue another."""
    return {
        "source": source_fingerprint,
        "storage": asdict(storage),
        "label_sets": {column: one.fingerprint for column, one in label_sets.items()},
        "splits": {
            split: {"items": len(of_split), "digest": fingerprint(list(of_split))}
            for split, of_split in items.items()
        },
    }


def _shards(
    staging: Path,
    items: Mapping[Split, Mapping[str, Item]],
    build_case: Callable[[Item], BuiltCase],
    features: Features,
    storage: StorageOptions,
) -> Iterator[_Shard[Item]]:
    """Cut each split into shards: enough for parallel work, and none too large to pass around."""
    for split, of_split in items.items():
        values = tuple(of_split.values())
        size = min(max(-(-len(values) // FEWEST_SHARDS), ROW_GROUP_CASES), LARGEST_SHARD_CASES)
        count = max(1, -(-len(values) // size))
        for index in range(count):
            name = shard_name(split, index, count)
            yield _Shard(
                path=staging / CONTENT_FOLDER / DATA_FOLDER / name,
                rejected_path=staging / REJECTED_FOLDER / f"{name}.csv",
                items=values[index * size : (index + 1) * size],
                build_case=build_case,
                features=features,
                storage=storage,
            )


def _write_shard(shard: _Shard[Item], advance: Advance) -> str:
    """Build and write one shard; its rejections are written first, so it never lacks them."""
    rejections: list[Rejection] = []

    def rows() -> Iterator[dict[str, Any]]:
        for item in shard.items:
            built = shard.build_case(item)
            rejections.extend(built.rejections)
            if built.case is not None:
                yield encode_case(built.case, shard.features, shard.storage)
            advance(1)
        if rejections:
            write_rejections(shard.rejected_path, rejections)

    write_shard(shard.path, rows(), shard.features)
    return shard.path.name


def _finish(
    staging: Path,
    label_sets: Mapping[str, LabelSet],
    card_text: str,
    card_metadata: Mapping[str, Any],
) -> dict[Split, int]:
    """Check the whole, count labels, write what describes the shards, and return how many."""
    content = staging / CONTENT_FOLDER
    rejections = [
        rejection
        for path in sorted((staging / REJECTED_FOLDER).glob("*.csv"))
        for rejection in read_rejections(path)
    ]
    if rejections:
        write_rejections(content / REJECTED_FILE, rejections)
    for column, label_set in label_sets.items():
        label_set.save(content / LABEL_SET_FOLDER / f"{column}.json")
    store = CaseStore.open(content)
    metadata = read_metadata(store)
    _check_cases(metadata, rejections)
    for split in store.shards.keys() - set(metadata.splits):  # all of its cases were rejected
        for shard in (content / DATA_FOLDER).glob(f"{split}-*.parquet"):
            shard.unlink()

    splits = [split for split in Split if split in metadata.splits]
    for column, label_set in label_sets.items():
        labels = metadata.labels[column].astype(int)
        counts = {split: labels[metadata.in_split(split)].sum(axis=0).tolist() for split in splits}
        label_set.with_counts(counts).save(content / LABEL_SET_FOLDER / f"{column}.json")
    label_counts = {column: len(label_set) for column, label_set in label_sets.items()}
    card = render_card(card_text, card_metadata, metadata, label_counts)
    with atomic_write(content / CARD_FILE) as temporary:
        temporary.write_text(card, "utf-8")
    return {split: len(paths) for split, paths in store.shards.items() if split in metadata.splits}


def _check_cases(metadata: CaseMetadata, rejections: Sequence[Rejection]) -> None:
    if len(metadata) == 0:
        raise NothingBuiltError(rejections)
    case_id, times = Counter(metadata.case_ids).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{times} cases have the id {case_id!r}")
    splits_of: dict[str, set[str]] = {}
    for patient, split in zip(metadata.patient_ids, metadata.splits, strict=True):
        splits_of.setdefault(patient, set()).add(split)
    shared = sum(len(splits) > 1 for splits in splits_of.values())
    if shared:
        logger.warning("%d patients are in more than one split: results will be too good", shared)
