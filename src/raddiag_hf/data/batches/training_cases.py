"""Stored cases as the packed features that the model trains on, decoded where workers run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features
from numpy.typing import NDArray
from torch import Tensor

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation, mix_cases
from raddiag_hf.data.store.case import (
    DEFAULT_LABEL_COLUMN,
    decode_case,
    label_columns,
    unknown_column,
)
from raddiag_hf.labels.normal_labels import normal_columns
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor


@dataclass(frozen=True)
class CasePacker:
    """Turns a row of a case data set into one packed case; can be sent to worker processes.

    Attributes:
        features: Columns of the data set.
        processor: The model's image processor.
        label_column: The label space to train on.
        label_ids: The labels of it to train on, in this order; None for all.

    Raises:
        ValueError: If the data set has no such label column.
    """

    features: Features
    processor: RadDiagImageProcessor
    label_column: str = DEFAULT_LABEL_COLUMN
    label_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        columns = label_columns(self.features)
        if self.label_column not in columns:
            raise ValueError(
                f"there is no label column {self.label_column!r}, only {sorted(columns)}"
            )

    @property
    def label_names(self) -> tuple[str, ...]:
        """Name of each column of ``labels``."""
        names = label_columns(self.features)[self.label_column].names
        return tuple(names if self.label_ids is None else [names[one] for one in self.label_ids])

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Tensor]:
        """Decode and pack one row.

        Returns:
            ``labels``, NaN where unknown, and what `RadDiagImageProcessor` gives for one case;
            `collate_cases` joins several.

        Raises:
            ValueError: If stored pixels are damaged; the message names the case and the scan.
        """
        case = decode_case(row, self.features)
        labels = torch.zeros(1, label_columns(self.features)[self.label_column].num_classes)
        labels[0, row[self.label_column]] = 1
        labels[0, row.get(unknown_column(self.label_column), [])] = torch.nan
        if self.label_ids is not None:
            labels = labels[:, list(self.label_ids)]
        batch = self.processor(
            [one.scan.volume[0] if one.scan.is_picture else one.scan.volume for one in case.scans],
            [one.scan.modality for one in case.scans],
            studies=[one.study for one in case.scans],
            key_slices=[one.key_slice for one in case.scans],
            labels=labels,
        )
        return dict(batch)


class TrainingCases(torch.utils.data.Dataset[dict[str, Tensor]]):
    """A split of a case data set, each case packed when it is asked for.

    Decoding, resampling and augmentation run where ``__getitem__`` runs: in the workers of a
    DataLoader. Rows stay on disk until then.

    Augmentation depends on seed, epoch and index alone: neither the order of access, nor the
    number of workers, nor resuming in the middle of an epoch changes what a case looks like. An
    index of ``k * len(self)`` more is the same case, augmented differently: the ``k``-th repetition
    of a sampler that repeats cases.

    Args:
        split: Rows of a case data set, such as ``load_dataset(folder, split="train")``.
        packer: Made for its columns.
        augmentation: How cases are changed at random; None: not at all.
        seed: Of the augmentation, at least 0.

    Raises:
        ValueError: If the seed is negative.
    """

    def __init__(
        self,
        split: Dataset,
        packer: CasePacker,
        augmentation: CaseAugmentation | None = None,
        seed: int = 0,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed is {seed}, expected at least 0")
        self.split = split
        self.packer = packer
        self.augmentation = augmentation
        self.seed = seed
        self._normal_columns = normal_columns(packer.label_names)
        self._anatomies = np.zeros(0, np.int64)
        if augmentation is not None and augmentation.mixing_probability:
            column = split.select_columns("anatomy").with_format("numpy")
            self._anatomies = np.asarray(column[:]["anatomy"], np.int64)
        # Workers that live on between epochs see a new epoch only in shared memory.
        self._epoch = torch.zeros((), dtype=torch.int64)
        self._epoch.share_memory_()  # type: ignore[no-untyped-call]
        self._packed: list[dict[str, Tensor]] = []

    def keep_in_memory(self, progress: Progress = no_progress) -> None:
        """Pack every case now, and augment what was packed from here on.

        For data sets that fit: a case is decoded and resampled once, not once in every epoch.

        Args:
            progress: Called after every case.

        Raises:
            ValueError: If the augmentation chooses scans or mixes cases: it needs them unpacked.
        """
        if self.augmentation is not None and self.augmentation.changes_scans:
            raise ValueError(
                "cases whose scans are dropped, shuffled or mixed cannot be kept packed"
            )
        for row in range(len(self)):
            self._packed.append(self.packer(self.split[row]))
            progress("Reading cases", row + 1, len(self))

    @property
    def epoch(self) -> int:
        """The epoch whose augmentation is drawn."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the augmentation of an epoch, in this process and its workers."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.split)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield every case once."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        row = index % len(self)
        if self.augmentation is None:
            return self._packed[row] if self._packed else self.packer(self.split[row])
        random = np.random.default_rng((self.seed, self.epoch, max(index, row)))
        cases: list[dict[str, Tensor]] = []
        for mixed in (row, *self.augmentation.draw_partners(row, self._anatomies, random)):
            used = sum(len(case["pixel_values"]) for case in cases)
            drawn = self._draw_case(mixed, self.augmentation, used, random)
            if drawn is not None:
                cases.append(self.augmentation.augment_scans(drawn, self.packer.processor, random))
        return mix_cases(cases, self._normal_columns)

    def _draw_case(
        self, row: int, augmentation: CaseAugmentation, used: int, random: np.random.Generator
    ) -> dict[str, Tensor] | None:
        """Return a packed case with the scans that are drawn; None where no scan fits any more."""
        if self._packed:
            case = self._packed[row]
            augmentation.draw_scans(len(case["slice_counts"]), random)  # all; what follows is drawn
            return case  # from the same generator, kept in memory or not
        stored = self.split[row]
        drawn = augmentation.draw_scans(len(stored["scans"]), random)
        scans = [stored["scans"][number] for number in drawn]
        depths = np.array([scan["volume"]["shape"][0] for scan in scans])
        processor = self.packer.processor
        slices = encoded_slices(depths, processor.max_slices, processor.grey_picture_slices)
        kept = augmentation.fit_budget(slices.tolist(), used, random)
        return self.packer(stored | {"scans": [scans[number] for number in kept]}) if kept else None


def encoded_slices(
    scan_depths: NDArray[np.int64], max_slices: int, grey_picture_slices: int = 1
) -> NDArray[np.int64]:
    """Return how many slices of each scan are encoded, of its stored slices.

    Args:
        scan_depths: Stored slices of each scan, ``(scans,)``.
        max_slices: The image processor's.
        grey_picture_slices: The image processor's.
    """
    return np.where(scan_depths == 1, grey_picture_slices, np.minimum(scan_depths, max_slices))


def count_slices(
    scan_cases: NDArray[np.int64],
    scan_depths: NDArray[np.int64],
    num_cases: int,
    max_slices: int,
    max_scans: int | None = None,
) -> NDArray[np.int64]:
    """Return how many slices of each case are encoded: its work, for `BalancedBatchSampler`.

    Augmentation that mixes cases, drops scans or keeps key slices alone changes the work of single
    cases from epoch to epoch; what these counts balance then is the work before augmentation.

    Args:
        scan_cases: Row of the case of each scan, ``(scans,)``; see `CaseMetadata`.
        scan_depths: Stored slices of each scan, ``(scans,)``.
        num_cases: Number of cases.
        max_slices: The image processor's.
        max_scans: The augmentation's: of a case with more, what so many have on average.
    """
    kept = encoded_slices(scan_depths, max_slices)
    work = np.bincount(scan_cases, weights=kept, minlength=num_cases)
    if max_scans is not None:
        num_scans = np.bincount(scan_cases, minlength=num_cases)
        work = work * np.minimum(1, max_scans / np.maximum(num_scans, 1))
    return np.rint(work).astype(np.int64)
