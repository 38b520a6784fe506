"""Case embeddings of a whole data set, computed once and kept."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from raddiag_hf.atomic_files import atomic_write
from raddiag_hf.data.collate import collate_cases
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.vocabulary import Split

SHARD_CASES = 256
"""Cases of one file: what an interruption can lose at most."""
BATCH_CASES = 4

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is in all."""


def extract_features(
    model: RadDiagForImageClassification,
    cases: Mapping[Split, Subset[Any]],
    folder: Path,
    *,
    device: torch.device,
    num_workers: int,
    chunk_size: int | None,
    report_progress: Progress,
) -> dict[Split, Tensor]:
    """Return the embedding of every case, ``(cases, hidden)`` float32 for each split.

    Embeddings are written to ``folder`` a few hundred cases at a time, and what is there is not
    computed again. A few cases are in memory at once, beside the embeddings themselves.

    Args:
        model: Its weights are not changed.
        cases: Packed cases of each split; in order.
        folder: For this model, processor and data alone.
        device: Where to compute.
        num_workers: Processes that decode cases.
        chunk_size: Slices that are encoded at once; a small number that suits inference if None.
        report_progress: Called after every file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    total, done = sum(len(members) for members in cases.values()), 0
    encoder: Any = None
    found: dict[Split, Tensor] = {}
    for split, members in cases.items():
        shards = []
        for first in range(0, len(members), SHARD_CASES):
            path = folder / f"{split}-{first:06d}.safetensors"
            rows = range(first, min(first + SHARD_CASES, len(members)))
            if not path.is_file():
                if encoder is None:
                    encoder = _inference_copy(model, device, chunk_size)
                embeddings = _embed(encoder, Subset(members, rows), num_workers)
                with atomic_write(path) as temporary:
                    save_file({"embeddings": embeddings}, temporary)
            shards.append(load_file(path)["embeddings"])
            done += len(rows)
            report_progress("Extracting features", done, total)
        found[split] = torch.cat(shards)
    return found


def _inference_copy(
    model: RadDiagForImageClassification, device: torch.device, chunk_size: int | None
) -> Any:
    encoder = copy.deepcopy(model.base_model)
    encoder.config.encoder_chunk_size = chunk_size
    return encoder.optimize_for_inference().to(device)


@torch.inference_mode()
def _embed(encoder: Any, cases: Subset[Any], num_workers: int) -> Tensor:
    loader = DataLoader(
        cases, batch_size=BATCH_CASES, collate_fn=collate_cases, num_workers=num_workers
    )
    inputs = ("pixel_values", "slice_counts", "scan_counts", "modality_slots")
    embeddings = []
    for batch in loader:
        output = encoder(**{name: batch[name].to(encoder.device) for name in inputs})
        embeddings.append(output.pooler_output.float().cpu())
    return torch.cat(embeddings)
