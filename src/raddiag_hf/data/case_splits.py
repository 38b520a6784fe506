"""Splits of a case data set: rows, labels and patients, packed for training and prediction."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from datasets import Dataset, Features
from numpy.typing import NDArray

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import fingerprint
from raddiag_hf.data.analysis.splits import split_by_patient
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases, count_slices
from raddiag_hf.data.store.case_metadata import CaseMetadata
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.vocabulary import Split

COMPARED_CASES = 16
"""Cases of a split whose pixels count in its fingerprint."""


class CaseDataError(InputError):
    """A data set, split or label column that cannot be used: which, and why."""


@dataclass(frozen=True, eq=False)
class CaseSplit:
    """The labelled cases of one split.

    Attributes:
        location: Folder, builder or Hub id of the data set.
        split: What the split is for: ``"train"``, ``"validation"`` or ``"test"``.
        label_column: The label space, as the user named it.
        label_set: Its labels in column order, with their cases in each split where somebody
            counted.
        rows: The cases, on disk until one is asked for.
        metadata: What is known of them without their pixels, in the same order.
        files: Name and size of the files that hold them, where they are known.
        stored_labels: Column and ids of the labels, where they are some of a column; see
            `with_labels`.
    """

    location: str
    split: str
    label_column: str
    label_set: LabelSet
    rows: Dataset
    metadata: CaseMetadata
    files: tuple[tuple[str, int], ...] = ()
    stored_labels: tuple[str, tuple[int, ...]] | None = None

    def __len__(self) -> int:
        return len(self.metadata)

    @property
    def features(self) -> Features:
        """The columns."""
        return self.rows.features

    @property
    def patient_ids(self) -> tuple[str, ...]:
        """The patient of each case."""
        return self.metadata.patient_ids

    @property
    def labels(self) -> NDArray[np.float32]:
        """Which case has which label: 0, 1, NaN where unknown, shape ``(cases, labels)``."""
        found = np.asarray(self.metadata.labels[self.label_column].toarray(), dtype=np.float32)
        unknown = self.metadata.unknown.get(self.label_column)
        if unknown is not None:
            found[unknown.nonzero()] = np.nan
        return found

    @property
    def label_counts(self) -> list[int]:
        """Cases of each label, in column order."""
        return [int(count) for count in self.metadata.labels[self.label_column].sum(0)]

    @property
    def unknown_counts(self) -> NDArray[np.int64]:
        """How many labels of each case are unknown, shape ``(cases,)``."""
        unknown = self.metadata.unknown.get(self.label_column)
        if unknown is None:
            return np.zeros(len(self), np.int64)
        return np.asarray(unknown.astype(np.int64).sum(1)).ravel()

    @property
    def known_counts(self) -> list[int]:
        """Cases of which each label is known, in column order."""
        unknown = self.metadata.unknown.get(self.label_column)
        if unknown is None:
            return [len(self)] * len(self.label_set)
        return [len(self) - int(count) for count in unknown.astype(np.int64).sum(0)]

    @property
    def has_unknown(self) -> bool:
        """Whether any label of any case is unknown."""
        return bool(self.unknown_counts.any())

    def frequency_fields(self) -> dict[str, Any]:
        """Return the fields of `RadDiagConfig` that say how frequent each label is here."""
        return {
            "train_label_counts": self.label_counts,
            "train_known_counts": self.known_counts if self.has_unknown else None,
            "num_train_cases": len(self),
        }

    @cached_property
    def fingerprint(self) -> str:
        """What stands for these cases, wherever they lie: all but the pixels, and those of some."""
        known = self.metadata
        scans = (known.scan_cases, known.scan_modalities, known.scan_depths)
        labels = known.labels[self.label_column]
        spread = np.linspace(0, len(self) - 1, min(len(self), COMPARED_CASES)).astype(int)
        return fingerprint(
            [self.split, self.label_column, self.label_set.names, self.files],
            [known.case_ids, known.patient_ids],
            [array.tolist() for array in (known.anatomies, *scans)],
            [labels.indptr.tolist(), labels.indices.tolist()],
            *([np.argwhere(np.isnan(self.labels)).tolist()] if self.has_unknown else []),
            *([known.scan_studies.tolist()] if known.scan_studies.any() else []),
            *(
                scan["volume"]["data"]
                for row in spread.tolist()
                for scan in self.rows[row]["scans"]
            ),
        )

    def slice_counts(self, max_slices: int, max_scans: int | None = None) -> NDArray[np.int64]:
        """Return how many slices of each case are encoded, ``(cases,)``; see `count_slices`."""
        known = self.metadata
        return count_slices(known.scan_cases, known.scan_depths, len(known), max_slices, max_scans)

    def pack(
        self,
        processor: RadDiagImageProcessor,
        augmentation: CaseAugmentation | None = None,
        seed: int = 0,
    ) -> TrainingCases:
        """Return the cases as the Trainer reads them, packed where its workers run."""
        return TrainingCases(self.rows, self.packer(processor), augmentation, seed)

    def packer(self, processor: RadDiagImageProcessor) -> CasePacker:
        """Return what packs one of the cases, with these labels."""
        column, label_ids = self.stored_labels or (self.label_column, None)
        return CasePacker(self.features, processor, column, label_ids)

    def with_labels(
        self, name: str, label_ids: Sequence[int], names: Sequence[str] | None = None
    ) -> "CaseSplit":
        """Return the cases that have one of some labels, or of which one is unknown.

        All labels, in another order, leave out no case.

        Args:
            name: Of these labels together, as a label column.
            label_ids: Columns of the label set.
            names: How the labels are to be spelt; None leaves that.
        """
        column = self.label_column
        label_set = self.label_set.select(label_ids)
        label_set = label_set if names is None else label_set.renamed(names)
        narrowed = replace(
            self,
            label_column=name,
            label_set=label_set,
            metadata=self.metadata.with_labels(name, column, label_ids),
            stored_labels=(column, tuple(label_ids)),
        )
        if len(label_ids) == len(self.label_set):
            return narrowed
        has_any = narrowed.metadata.labels[name].sum(1) + narrowed.unknown_counts > 0
        return narrowed.select(np.flatnonzero(has_any), self.split)

    def select(self, cases: NDArray[np.intp], split: str) -> "CaseSplit":
        """Return some of the cases, as a split of their own."""
        return replace(
            self, split=split, rows=self.rows.select(cases), metadata=self.metadata.select(cases)
        )


@dataclass(frozen=True, eq=False)
class CaseSplits(Mapping[str, CaseSplit]):
    """The splits of a data set that were asked for, by name; at least one.

    Attributes:
        splits: Name -> cases; all have the same columns, label column and label set.
        validation_origin: Where the validation cases come from, in words.
        num_unlabelled: Cases that `labelled` left out.
    """

    splits: Mapping[str, CaseSplit]
    validation_origin: str = "the data set's own validation split"
    num_unlabelled: int = 0

    def __getitem__(self, split: str) -> CaseSplit:
        return self.splits[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    @property
    def _any(self) -> CaseSplit:
        return next(iter(self.splits.values()))

    @property
    def location(self) -> str:
        """Folder, builder or Hub id of the data set."""
        return self._any.location

    @property
    def features(self) -> Features:
        """The columns."""
        return self._any.features

    @property
    def label_column(self) -> str:
        """The label space."""
        return self._any.label_column

    @property
    def label_set(self) -> LabelSet:
        """Its labels, with the training cases of each where they are known."""
        return self._any.label_set

    @property
    def is_single_scan(self) -> bool:
        """Whether every case has one scan."""
        splits = self.splits.values()
        return all(len(one.metadata.scan_cases) == len(one) for one in splits)

    @property
    def is_exclusive(self) -> bool:
        """Whether there are two labels at least, and each training and validation case has one.

        Where a label of one is unknown, the case may have it too.
        """
        chosen = [self.splits[one] for one in (Split.TRAIN, Split.VALIDATION) if one in self.splits]
        return len(self.label_set) > 1 and all(
            bool((one.metadata.labels[self.label_column].sum(1) == 1).all()) and not one.has_unknown
            for one in chosen
        )

    @property
    def num_partly_labelled(self) -> int:
        """Cases of which some labels are unknown and others are not."""
        num_labels = len(self.label_set)
        unknown = [one.unknown_counts for one in self.splits.values()]
        return sum(int(((one > 0) & (one < num_labels)).sum()) for one in unknown)

    @property
    def fingerprint(self) -> str:
        """What changes when the cases of any split, or the labels, do."""
        return fingerprint({name: one.fingerprint for name, one in self.splits.items()})

    def describe(self) -> dict[str, Any]:
        """Return what the splits hold, as counts: no case or patient is named."""
        modalities: Counter[str] = Counter()
        anatomies: Counter[str] = Counter()
        splits: dict[str, dict[str, Any]] = {}
        for name, one in self.splits.items():
            modalities.update(MODALITIES[index].value for index in one.metadata.scan_modalities)
            anatomies.update(ANATOMIES[index].value for index in one.metadata.anatomies)
            splits[str(name)] = {
                "cases": len(one),
                "patients": len(set(one.patient_ids)),
                "scans": len(one.metadata.scan_cases),
                "positives": dict(zip(self.label_set.names, one.label_counts, strict=True)),
            }
            if one.has_unknown:
                known = dict(zip(self.label_set.names, one.known_counts, strict=True))
                splits[str(name)]["known_cases"] = known
        return {
            "splits": splits,
            "validation_origin": self.validation_origin,
            "scans_by_modality": dict(modalities.most_common()),
            "cases_by_anatomy": dict(anatomies.most_common()),
            "label_column": self.label_column,
        }

    def labelled(self) -> "CaseSplits":
        """Return the cases with a known label at least, and the splits that have any.

        Raises:
            CaseDataError: If all labels of all cases are unknown.
        """
        known = {
            name: one.unknown_counts < len(self.label_set) for name, one in self.splits.items()
        }
        if all(one.all() for one in known.values()):
            return self
        kept = {
            name: one.select(np.flatnonzero(known[name]), one.split)
            for name, one in self.splits.items()
            if known[name].any()
        }
        if not kept:
            raise CaseDataError(f"{self.location}: nobody labelled any of the cases")
        num_unlabelled = sum(int((~one).sum()) for one in known.values())
        return replace(self, splits=kept, num_unlabelled=num_unlabelled)

    def for_training(self, validation_fraction: float | None = None, seed: int = 0) -> "CaseSplits":
        """Return splits that a model can be trained on: with training cases that have labels.

        Cases whose labels are all unknown are left out of all splits.

        Args:
            validation_fraction: Share of the training cases that becomes validation, by patient,
                where there is no validation split; None leaves it missing.
            seed: Of that choice.

        Raises:
            CaseDataError: If there are no training cases, none has a label, or they are of too few
                patients to be shared.
        """
        labelled = self.labelled()
        train = labelled.splits.get(Split.TRAIN)
        if train is None:
            raise CaseDataError(
                f"{self.location}: has no training cases, only {sorted(map(str, labelled.splits))}"
            )
        if Split.VALIDATION in labelled.splits or validation_fraction is None:
            shared = labelled
        else:
            shared = labelled._carve_validation(train, validation_fraction, seed)
        if not any(shared[Split.TRAIN].label_counts):
            raise CaseDataError(
                f"{self.location}: no training case has a label in column {self.label_column!r}"
            )
        return shared

    def _carve_validation(self, train: CaseSplit, fraction: float, seed: int) -> "CaseSplits":
        indicators = train.metadata.labels[self.label_column].tolil()
        shares = split_by_patient(
            list(train.patient_ids),
            [list(labels) for labels in indicators.rows],
            {Split.TRAIN: 1 - fraction, Split.VALIDATION: fraction},
            seed=seed,
        )
        chosen = np.array([share is Split.VALIDATION for share in shares])
        if not chosen.any() or chosen.all():
            raise CaseDataError(
                f"{self.location}: has no validation split, and its {len(train)} training cases of "
                "few patients cannot be shared by patient"
            )
        carved: dict[str, CaseSplit] = {
            Split.TRAIN: train.select(np.flatnonzero(~chosen), Split.TRAIN),
            Split.VALIDATION: train.select(np.flatnonzero(chosen), Split.VALIDATION),
        }
        others = {split: one for split, one in self.splits.items() if split not in carved}
        return CaseSplits(
            with_counts({**carved, **others}),
            f"{chosen.sum()} cases set aside from the training split, by patient: the data set has "
            "no validation split",
            self.num_unlabelled,
        )


def with_counts(splits: Mapping[str, CaseSplit]) -> dict[str, CaseSplit]:
    """Count the labels in training, validation and test cases, where these were opened."""
    counts = {split: splits[split].label_counts for split in Split if split in splits}
    label_set = next(iter(splits.values())).label_set.with_counts(counts)
    return {split: replace(one, label_set=label_set) for split, one in splits.items()}
