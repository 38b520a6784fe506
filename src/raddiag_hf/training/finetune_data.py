"""The cases that a model is fine-tuned on: three splits without a patient in common."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, load_dataset
from numpy.typing import NDArray
from torch.utils.data import Subset

from raddiag_hf.data.analysis.splits import split_by_patient
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases
from raddiag_hf.data.store.case_metadata import CaseMetadata, read_metadata
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.training.finetune_settings import FinetuneError, FinetuneSettings
from raddiag_hf.vocabulary import Split

Labels = NDArray[np.float32]


@dataclass(frozen=True)
class FinetuneData:
    """A stored data set, its splits and its labels.

    Attributes:
        store: Where the cases are.
        metadata: All that is known of them except the pixels.
        label_column: The label space to learn.
        label_set: Its labels, with the training cases of each.
        rows: Rows of ``metadata`` in each split; ``test`` may be absent.
        validation_origin: Where the validation cases come from, in words.
    """

    store: CaseStore
    metadata: CaseMetadata
    label_column: str
    label_set: LabelSet
    rows: Mapping[Split, NDArray[np.intp]]
    validation_origin: str

    @property
    def is_single_scan(self) -> bool:
        """Whether every case has one scan."""
        return len(self.metadata.scan_cases) == len(self.metadata)

    def labels(self, split: Split) -> Labels:
        """Return the multi-hot labels of a split, ``(cases, labels)``."""
        indicators = self.metadata.labels[self.label_column][self.rows[split]]
        return np.asarray(indicators.toarray(), dtype=np.float32)

    def patient_ids(self, split: Split) -> list[str]:
        """Return the patient of each case of a split."""
        return [self.metadata.patient_ids[row] for row in self.rows[split]]

    def packed_cases(self, processor: RadDiagImageProcessor) -> dict[Split, Subset[Any]]:
        """Return the cases of every split, each packed when it is asked for."""
        packer = CasePacker(self.store.features, processor, self.label_column)
        stored: dict[str, Dataset] = load_dataset(self.store.location)
        found = {}
        for split, rows in self.rows.items():
            home = self.metadata.splits[rows[0]]
            first = int(np.flatnonzero(self.metadata.in_split(home))[0])
            found[split] = Subset(TrainingCases(stored[home], packer), (rows - first).tolist())
        return found

    def describe(self) -> dict[str, Any]:
        """Return what the data set holds, as counts: no case or patient is named."""
        metadata = self.metadata
        splits = {}
        for split, rows in self.rows.items():
            splits[str(split)] = {
                "cases": len(rows),
                "patients": len({metadata.patient_ids[row] for row in rows}),
                "scans": int(np.isin(metadata.scan_cases, rows).sum()),
                "positives": dict(
                    zip(
                        self.label_set.names,
                        self.labels(split).sum(0).astype(int).tolist(),
                        strict=True,
                    )
                ),
            }
        modalities = Counter(MODALITIES[index].value for index in metadata.scan_modalities)
        anatomies = Counter(ANATOMIES[index].value for index in metadata.anatomies)
        return {
            "splits": splits,
            "validation_origin": self.validation_origin,
            "scans_by_modality": dict(modalities.most_common()),
            "cases_by_anatomy": dict(anatomies.most_common()),
            "label_column": self.label_column,
        }

    def fingerprint(self) -> str:
        """Stand for files, splits and labels: it changes when any of them does."""
        files = []
        for paths in self.store.shards.values():
            for path in map(Path, paths):
                status = path.stat()
                files.append([path.name, status.st_size, status.st_mtime_ns])
        rows = {str(split): rows.tolist() for split, rows in self.rows.items()}
        content = [files, rows, self.label_column, self.label_set.fingerprint]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def open_finetune_data(folder: Path | str, settings: FinetuneSettings) -> FinetuneData:
    """Open a stored data set and settle its splits.

    Args:
        folder: What ``raddiag dataset build`` or ``import`` wrote.
        settings: Label column, and how much of ``train`` becomes validation where there is none.

    Raises:
        FinetuneError: If it is no such folder, has no training cases, no such label column, no
            label in training, or a patient in two splits.
    """
    if not Path(folder).is_dir():
        raise FinetuneError(
            f"{folder}: no such folder; expected what `raddiag dataset build` or `import` writes"
        )
    try:
        store = CaseStore.open(Path(folder))
        metadata = read_metadata(store)
    except (FileNotFoundError, ValueError) as error:  # Arrow's errors are ValueErrors
        text = str(error)
        raise FinetuneError(text if str(folder) in text else f"{folder}: {text}") from None
    column = _label_column(store, settings.label_column, folder)
    _check_patients(metadata, folder)
    rows = {
        split: np.flatnonzero(metadata.in_split(split))
        for split in Split
        if metadata.in_split(split).any()
    }
    if Split.TRAIN not in rows:
        raise FinetuneError(f"{folder}: has no training cases, only {sorted(map(str, rows))}")
    origin = "the data set's own validation split"
    if Split.VALIDATION not in rows:
        rows |= _carve_validation(metadata, rows[Split.TRAIN], column, settings, folder)
        origin = (
            f"{len(rows[Split.VALIDATION])} cases set aside from the training split, by patient: "
            "the data set has no validation split"
        )
    counts = np.asarray(metadata.labels[column][rows[Split.TRAIN]].sum(0)).ravel()
    if not counts.any():
        raise FinetuneError(f"{folder}: no training case has a label in column {column!r}")
    label_set = store.label_sets[column].with_train_counts(counts.tolist())
    return FinetuneData(store, metadata, column, label_set, rows, origin)


def _label_column(store: CaseStore, wanted: str | None, folder: Path | str) -> str:
    columns = sorted(store.label_sets)
    if wanted is None and len(columns) == 1:
        return columns[0]
    if wanted not in columns:
        found = "no label column was named" if wanted is None else f"no label column {wanted!r}"
        raise FinetuneError(f"{folder}: {found}; expected one of {', '.join(columns)}")
    return wanted


def _check_patients(metadata: CaseMetadata, folder: Path | str) -> None:
    homes: dict[str, set[str]] = {}
    for patient, split in zip(metadata.patient_ids, metadata.splits, strict=True):
        homes.setdefault(patient, set()).add(split)
    if shared := sum(len(splits) > 1 for splits in homes.values()):
        raise FinetuneError(
            f"{folder}: {shared} of {len(homes)} patients have cases in more than one split, so no "
            "number measured on it would hold; build it again with splits by patient"
        )


def _carve_validation(
    metadata: CaseMetadata,
    train_rows: NDArray[np.intp],
    column: str,
    settings: FinetuneSettings,
    folder: Path | str,
) -> dict[Split, NDArray[np.intp]]:
    """Share the training cases between training and validation, by patient."""
    indicators = metadata.labels[column][train_rows].tolil()
    fraction = settings.validation_fraction
    splits = split_by_patient(
        [metadata.patient_ids[row] for row in train_rows],
        [list(labels) for labels in indicators.rows],
        {Split.TRAIN: 1 - fraction, Split.VALIDATION: fraction},
        seed=settings.seed,
    )
    chosen = np.array([split is Split.VALIDATION for split in splits])
    if not chosen.any() or chosen.all():
        raise FinetuneError(
            f"{folder}: has no validation split, and its {len(train_rows)} training cases of few "
            "patients cannot be shared by patient"
        )
    return {Split.TRAIN: train_rows[~chosen], Split.VALIDATION: train_rows[chosen]}
