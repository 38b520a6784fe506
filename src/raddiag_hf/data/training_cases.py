"""Stored cases as the packed features that the model trains on, decoded where workers run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features
from numpy.typing import NDArray
from torch import Tensor

from raddiag_hf.data.case import DEFAULT_LABEL_COLUMN, decode_case, label_columns
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor


@dataclass(frozen=True)
class CasePacker:
    """Turns a row of a case data set into one packed case; can be sent to worker processes.

    Attributes:
        features: Columns of the data set.
        processor: The model's image processor.
        label_column: The label space to train on.

    Raises:
        ValueError: If the data set has no such label column.
    """

    features: Features
    processor: RadDiagImageProcessor
    label_column: str = DEFAULT_LABEL_COLUMN

    def __post_init__(self) -> None:
        columns = label_columns(self.features)
        if self.label_column not in columns:
            raise ValueError(
                f"there is no label column {self.label_column!r}, only {sorted(columns)}"
            )

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Tensor]:
        """Decode and pack one row.

        Returns:
            ``labels`` and what `RadDiagImageProcessor` gives for one case; `collate_cases` joins
            several.

        Raises:
            ValueError: If stored pixels are damaged; the message names the case and the scan.
        """
        case = decode_case(row, self.features)
        labels = torch.zeros(1, label_columns(self.features)[self.label_column].num_classes)
        labels[0, row[self.label_column]] = 1
        batch = self.processor(
            [one.scan.volume[0] if one.scan.is_picture else one.scan.volume for one in case.scans],
            [one.scan.modality for one in case.scans],
            key_slices=[one.key_slice for one in case.scans],
            labels=labels,
        )
        return dict(batch)


class TrainingCases(torch.utils.data.Dataset[dict[str, Tensor]]):
    """A split of a case data set, each case packed when it is asked for.

    Decoding and resampling run where ``__getitem__`` runs: in the workers of a DataLoader. Rows
    stay on disk until then.

    Args:
        split: Rows of a case data set, such as ``load_dataset(folder, split="train")``.
        packer: Made for its columns.
    """

    def __init__(self, split: Dataset, packer: CasePacker) -> None:
        self.split = split
        self.packer = packer

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.packer(self.split[int(index)])


def count_slices(
    scan_cases: NDArray[np.int64], scan_depths: NDArray[np.int64], num_cases: int, max_slices: int
) -> NDArray[np.int64]:
    """Return how many slices of each case are encoded: its work, for `BalancedBatchSampler`.

    Args:
        scan_cases: Row of the case of each scan, ``(scans,)``; see `CaseMetadata`.
        scan_depths: Stored slices of each scan, ``(scans,)``.
        num_cases: Number of cases.
        max_slices: The image processor's.
    """
    kept = np.minimum(scan_depths, max_slices)
    return np.bincount(scan_cases, weights=kept, minlength=num_cases).astype(np.int64)
