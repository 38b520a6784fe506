"""One split of a case data set, as an evaluation needs it: cases to decode, and what is known."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from datasets.exceptions import DatasetGenerationError
from fsspec.core import url_to_fs
from numpy.typing import NDArray

from raddiag_hf.core.hub_errors import HubAccessError, explained_access
from raddiag_hf.data.label_agreement import LabelMismatchError, check_model_fits
from raddiag_hf.data.store.case import DEFAULT_LABEL_COLUMN
from raddiag_hf.data.store.case_metadata import CaseMetadata, read_metadata
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.evaluation.prediction_table import EvaluationInputError, PredictionTable
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.vocabulary import Anatomy, Split

_HUB = "hf://datasets/"


@dataclass(frozen=True, eq=False)
class EvaluationSplit:
    """Cases that a model can be evaluated on.

    Attributes:
        location: Folder or address of the data set.
        split: Which of its splits.
        label_column: The label space of the model.
        label_set: Its labels, with their training counts where somebody counted.
        rows: The cases, on disk until one is asked for.
        metadata: What is known of them without their pixels, in the same order.
        fingerprint: Digest that changes with the data set's files, the split and the label column.
    """

    location: str
    split: Split
    label_column: str
    label_set: LabelSet
    rows: datasets.Dataset
    metadata: CaseMetadata
    fingerprint: str

    def __len__(self) -> int:
        return len(self.rows)

    def table(
        self, rows: range, logits: NDArray[np.float32], provenance: Mapping[str, str]
    ) -> PredictionTable:
        """Join the logits of some cases, ``(rows, labels)``, with what is known of these cases."""
        metadata = self.metadata
        first, last = np.searchsorted(metadata.scan_cases, (rows.start, rows.stop))
        modalities: list[set[int]] = [set() for _ in rows]
        scans = slice(first, last)
        for case, modality in zip(
            metadata.scan_cases[scans], metadata.scan_modalities[scans], strict=True
        ):
            modalities[case - rows.start].add(int(modality))
        anatomies = [ANATOMIES[region] for region in metadata.anatomies[rows.start : rows.stop]]
        return PredictionTable(
            case_ids=metadata.case_ids[rows.start : rows.stop],
            patient_ids=metadata.patient_ids[rows.start : rows.stop],
            anatomies=tuple(
                None if region is Anatomy.UNKNOWN else region.value for region in anatomies
            ),
            modalities=tuple(
                tuple(MODALITIES[modality].value for modality in sorted(found))
                for found in modalities
            ),
            labels=metadata.labels[self.label_column][rows.start : rows.stop].toarray(),
            logits=logits,
            label_names=self.label_set.names,
            provenance=provenance,
        )


def open_split(
    location: Path | str, split: str, config: RadDiagConfig, label_column: str | None = None
) -> EvaluationSplit:
    """Open a split whose labels are those of a model.

    Args:
        location: Folder of a case data set, or one on the Hub: ``"<namespace>/<name>"``, also with
            ``hf://datasets/`` before it.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        config: The model's.
        label_column: The label space, for data sets with several; by default the one whose labels
            are the model's.

    Raises:
        EvaluationInputError: If it is no case data set, or has no such split.
        LabelMismatchError: If its labels are not the model's.
        HubAccessError: If the Hub refuses.
        OSError: If there is no such folder.
    """
    name = str(location).removeprefix(_HUB)
    is_on_hub = not Path(name).exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", name) is not None
    try:
        with explained_access(name):
            store = CaseStore.open(f"{_HUB}{name}" if is_on_hub else name)
            files, _ = url_to_fs(store.location)
            if split not in store.shards:
                raise EvaluationInputError(
                    f"{location}: has no split {split!r}, only {', '.join(store.shards)}"
                )
            shards = store.shards[Split(split)]
            contents = [(Path(shard).name, files.ukey(shard)) for shard in shards]
            column = label_column or _find_label_column(store, config)
            check_model_fits(config, store.features, column)
            # By its files, so that no other split is downloaded and prepared, and so that
            # `datasets` does not answer with the cases of another folder of that name.
            places = [files.unstrip_protocol(shard) if is_on_hub else shard for shard in shards]
            rows = datasets.Dataset.from_parquet(places, split=datasets.NamedSplit(split))
        metadata = read_metadata({split: rows})
    except (EvaluationInputError, LabelMismatchError, HubAccessError):
        raise
    except DatasetGenerationError as error:
        raise EvaluationInputError(f"{location}: {error.__cause__ or error}") from error
    except ValueError as error:  # Arrow's errors are among them
        text = str(error)
        raise EvaluationInputError(text if name in text else f"{location}: {text}") from error
    identity = json.dumps([split, column, contents, metadata.case_ids])
    return EvaluationSplit(
        location=name,
        split=Split(split),
        label_column=column,
        label_set=store.label_sets[column],
        rows=rows,
        metadata=metadata,
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
    )


def _find_label_column(store: CaseStore, config: RadDiagConfig) -> str:
    """Return the label column with the model's labels, or the one to complain about."""
    names = tuple(config.id2label[column] for column in sorted(config.id2label))
    for column, label_set in store.label_sets.items():
        if label_set.names == names:
            return column
    columns = list(store.label_sets)
    return DEFAULT_LABEL_COLUMN if DEFAULT_LABEL_COLUMN in columns else columns[0]
