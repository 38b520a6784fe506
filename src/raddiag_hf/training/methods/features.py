"""Embeddings of a whole data set, as the classifier reads them, computed once and kept."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.progress import Progress
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import TrainingCases
from raddiag_hf.model.configuration_raddiag import LATE_FUSION_TYPES
from raddiag_hf.model.fusion import draw_scans, pool_embeddings, pool_predictions
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.vocabulary import Split

SHARD_CASES = 256
"""Cases of one file: what an interruption can lose at most."""
BATCH_CASES = 4


@dataclass(frozen=True)
class CaseFeatures:
    """The embeddings that a classifier reads of cases: one of each case, or with late fusion, scan.

    Attributes:
        rows: Embeddings of all cases in order, ``(rows, hidden)``, float32.
        row_counts: Rows of each case, int64, ``(cases,)``; all 1 without late fusion.
        fusion_type: That of the model's configuration.
    """

    rows: Tensor
    row_counts: Tensor
    fusion_type: str

    def case_embeddings(self) -> Tensor:
        """Return one embedding of each case, ``(cases, hidden)``; late fusion pools the scans'."""
        if self.fusion_type not in LATE_FUSION_TYPES:
            return self.rows
        draw = draw_scans(self.rows, training=False)
        return pool_embeddings(self.rows, self.row_counts, self.fusion_type, draw)

    def predict(self, classify: Callable[[Tensor], Tensor]) -> Tensor:
        """Return logits ``(cases, labels)`` by the model's own rule: late fusion pools predictions.

        Args:
            classify: Maps embeddings ``(rows, hidden)`` to logits ``(rows, labels)``.
        """
        logits = classify(self.rows)
        if self.fusion_type not in LATE_FUSION_TYPES:
            return logits
        draw = draw_scans(self.rows, training=False)
        return pool_predictions(logits, self.row_counts, self.fusion_type, draw)


def extract_features(
    model: RadDiagForImageClassification,
    cases: Mapping[Split, TrainingCases],
    folder: Path,
    *,
    device: torch.device,
    num_workers: int,
    chunk_size: int | None,
    progress: Progress,
) -> dict[Split, CaseFeatures]:
    """Return what the classifier reads of the cases of each split.

    Embeddings are written to ``folder`` a few hundred cases at a time, and what is there is not
    computed again. A few cases are in memory at once, beside the embeddings themselves.

    Args:
        model: Its weights are not changed.
        cases: Packed cases of each split; in order.
        folder: For this model, processor and data alone.
        device: Where to compute.
        num_workers: Processes that decode cases.
        chunk_size: Slices that are encoded at once; a small number that suits inference if None.
        progress: Called after every file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total, done = sum(len(members) for members in cases.values()), 0
    encoder: Any = None
    found: dict[Split, CaseFeatures] = {}
    for split, members in cases.items():
        shards = []
        for first in range(0, len(members), SHARD_CASES):
            path = folder / f"{split}-{first:06d}.safetensors"
            shard = range(first, min(first + SHARD_CASES, len(members)))
            if not path.is_file():
                if encoder is None:
                    encoder = _inference_copy(model, device, chunk_size)
                embeddings = _embed(encoder, Subset(members, shard), num_workers)
                with atomic_write(path) as temporary:
                    save_file(embeddings, temporary)
            shards.append(load_file(path))
            done += len(shard)
            progress("Extracting features", done, total)
        rows, counts = (
            torch.cat([stored[name] for stored in shards]) for name in ("rows", "row_counts")
        )
        found[split] = CaseFeatures(rows, counts, model.config.fusion_type)
    return found


def _inference_copy(
    model: RadDiagForImageClassification, device: torch.device, chunk_size: int | None
) -> Any:
    encoder = copy.deepcopy(model.base_model)
    encoder.config.encoder_chunk_size = chunk_size
    return encoder.optimize_for_inference().to(device)


@torch.inference_mode()
def _embed(encoder: Any, cases: Subset[Any], num_workers: int) -> dict[str, Tensor]:
    loader = DataLoader(
        cases, batch_size=BATCH_CASES, collate_fn=collate_cases, num_workers=num_workers
    )
    inputs = ("pixel_values", "slice_counts", "scan_counts", "modality_slots")
    is_late = encoder.config.is_late_fusion
    embeddings, counts = [], []
    for batch in loader:
        output = encoder(**{name: batch[name].to(encoder.device) for name in inputs})
        read = output.scan_embeddings if is_late else output.pooler_output
        embeddings.append(read.float().cpu())
        counts.append(batch["scan_counts"] if is_late else torch.ones_like(batch["scan_counts"]))
    return {"rows": torch.cat(embeddings), "row_counts": torch.cat(counts)}
