"""Scan embeddings of many cases by the model as it was trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import TrainingCases

MOST_CASES = 512
"""Cases of a split that are encoded, spread over it: a distribution needs no more."""
BATCH_CASES = 4


@dataclass(frozen=True)
class ScanEmbeddings:
    """Embeddings of the scans of cases, packed.

    Attributes:
        embeddings: Of all scans, case by case, float32 on the CPU, ``(scans, hidden)``.
        scan_counts: Scans of each case, int64, ``(cases,)``.
    """

    embeddings: Tensor
    scan_counts: Tensor


@torch.no_grad()
def embed_scans_of(
    model: Any, cases: TrainingCases, device: torch.device, num_workers: int
) -> ScanEmbeddings:
    """Embed the scans of some cases, at most `MOST_CASES`.

    All processes of a training call it together, each with the same cases: the weights may be
    shared among them.

    Args:
        model: A `RadDiagForImageClassification`; left in evaluation mode.
        cases: Packed, without augmentation.
        device: Where the model is.
        num_workers: Processes that decode cases.
    """
    model.eval()
    chosen = np.linspace(0, len(cases) - 1, min(len(cases), MOST_CASES)).astype(int)
    loader = DataLoader(
        Subset(cases, chosen.tolist()),
        batch_size=BATCH_CASES,
        collate_fn=collate_cases,
        num_workers=num_workers,
    )
    embeddings, counts = [], []
    for batch in loader:
        inputs = ("pixel_values", "slice_counts", "scan_counts", "modality_slots")
        output = model(**{name: batch[name].to(device) for name in inputs})
        embeddings.append(output.scan_embeddings.float().cpu())
        counts.append(batch["scan_counts"])
    return ScanEmbeddings(torch.cat(embeddings), torch.cat(counts))
