"""Embeddings of a whole data set, as the classifier reads them, computed once and kept."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from raddiag_hf.training.methods.scan_embeddings import ScanEmbeddings
from raddiag_hf.vocabulary import Split

SHARD_CASES = 32
"""Cases of one file: what an interruption can lose at most."""
BATCH_CASES = 4


@dataclass(frozen=True)
class CaseFeatures:
    """The embeddings that a classifier reads of cases: one of each case, or with late fusion, scan.

    Attributes:
        rows: Embeddings of all cases in order, ``(rows, hidden)``, float32.
        row_counts: Rows of each case, int64, ``(cases,)``; all 1 without late fusion.
        scans: Embeddings of the scans, whether the classifier reads them or not.
        fusion_type: That of the model's configuration.
    """

    rows: Tensor
    row_counts: Tensor
    scans: ScanEmbeddings
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


@dataclass(frozen=True)
class SliceFeatures:
    """What a frozen slice encoder says of the slices of cases, packed as the model reads them.

    Attributes:
        slices: Features of all slices of all scans in order, ``(slices, hidden)``, float32.
        slice_counts: Slices of each scan, int64, ``(scans,)``.
        scan_counts: Scans of each case, int64, ``(cases,)``.
        modality_slots: Of each scan, int64, ``(scans,)``.
    """

    slices: Tensor
    slice_counts: Tensor
    scan_counts: Tensor
    modality_slots: Tensor

    def __len__(self) -> int:
        return len(self.scan_counts)

    def select(self, cases: Sequence[int]) -> dict[str, Tensor]:
        """Return some cases as arguments of a model's forward pass."""
        of_case = self._cases_of_scans
        scans = torch.cat([of_case[case] for case in cases])
        of_scan = self._slices_of_scans
        return {
            "slice_features": self.slices[torch.cat([of_scan[scan] for scan in scans.tolist()])],
            "slice_counts": self.slice_counts[scans],
            "scan_counts": self.scan_counts[torch.tensor(cases)],
            "modality_slots": self.modality_slots[scans],
        }

    def subset(self, cases: Sequence[int]) -> "SliceFeatures":
        """Return some cases, in the order of ``cases``."""
        chosen = self.select(cases)
        return SliceFeatures(chosen.pop("slice_features"), **chosen)

    @cached_property
    def _cases_of_scans(self) -> tuple[Tensor, ...]:
        return torch.split(torch.arange(len(self.slice_counts)), self.scan_counts.tolist())

    @cached_property
    def _slices_of_scans(self) -> tuple[Tensor, ...]:
        return torch.split(torch.arange(len(self.slices)), self.slice_counts.tolist())


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
        progress: Called after every few cases.
    """
    encoder = _Encoder(model, device, chunk_size, _embed_cases)
    found = _extract(encoder, cases, folder, num_workers, progress)
    fusion_type = model.config.fusion_type
    return {
        split: CaseFeatures(
            one["rows"],
            one["row_counts"],
            ScanEmbeddings(one["scan_embeddings"], one["scan_counts"]),
            fusion_type,
        )
        for split, one in found.items()
    }


def extract_slice_features(
    model: RadDiagForImageClassification,
    cases: Mapping[Split, TrainingCases],
    folder: Path,
    *,
    device: torch.device,
    num_workers: int,
    chunk_size: int | None,
    progress: Progress,
) -> dict[Split, SliceFeatures]:
    """Return what the slice encoder says of every slice; arguments as `extract_features`.

    Raises:
        ValueError: If the encoder has no slice features.
    """
    encoder = _Encoder(model, device, chunk_size, _embed_slices)
    found = _extract(encoder, cases, folder, num_workers, progress)
    return {split: SliceFeatures(**one) for split, one in found.items()}


class _Encoder:
    """A model made ready to encode when the first case asks for it, which all may not."""

    def __init__(
        self,
        model: RadDiagForImageClassification,
        device: torch.device,
        chunk_size: int | None,
        embed: Callable[[Any, Mapping[str, Tensor]], dict[str, Tensor]],
    ) -> None:
        self.model, self.device, self.chunk_size, self.embed = model, device, chunk_size, embed
        self._ready: Any = None

    @torch.inference_mode()
    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self._ready is None:
            self._ready = _inference_copy(self.model, self.device, self.chunk_size)
        return self.embed(self._ready, batch)


def _extract(
    encoder: _Encoder,
    cases: Mapping[Split, TrainingCases],
    folder: Path,
    num_workers: int,
    progress: Progress,
) -> dict[Split, dict[str, Tensor]]:
    """Return the tensors of each split, reading the files that are there and writing the rest."""
    folder.mkdir(parents=True, exist_ok=True)
    total, done = sum(len(members) for members in cases.values()), 0
    found: dict[Split, dict[str, Tensor]] = {}
    for split, members in cases.items():
        shards = []
        for first in range(0, len(members), SHARD_CASES):
            path = folder / f"{split}-{first:06d}.safetensors"
            shard = range(first, min(first + SHARD_CASES, len(members)))
            if not path.is_file():
                batches = []
                loader = DataLoader(
                    Subset(members, shard),
                    batch_size=BATCH_CASES,
                    collate_fn=collate_cases,
                    num_workers=num_workers,
                )
                for batch in loader:
                    batches.append(encoder(batch))
                    encoded = min(done + BATCH_CASES * len(batches), total)
                    progress("Extracting features", encoded, total)
                with atomic_write(path) as temporary:
                    save_file(_join(batches), temporary)
            shards.append(load_file(path))
            done += len(shard)
            progress("Extracting features", done, total)
        found[split] = _join(shards)
    return found


def _join(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _inference_copy(
    model: RadDiagForImageClassification, device: torch.device, chunk_size: int | None
) -> Any:
    encoder = copy.deepcopy(model.base_model)
    encoder.config.encoder_chunk_size = chunk_size
    return encoder.optimize_for_inference().to(device)


def _embed_cases(encoder: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    inputs = ("pixel_values", "slice_counts", "scan_counts", "modality_slots")
    is_late = encoder.config.is_late_fusion
    output = encoder(**{name: batch[name].to(encoder.device) for name in inputs})
    read = output.scan_embeddings if is_late else output.pooler_output
    counts = batch["scan_counts"]
    return {
        "rows": read.float().cpu(),
        "row_counts": counts if is_late else torch.ones_like(counts),
        "scan_embeddings": output.scan_embeddings.float().cpu(),
        "scan_counts": counts,
    }


def _embed_slices(encoder: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    features = encoder.encode_slices(batch["pixel_values"].to(encoder.device))
    packing = ("slice_counts", "scan_counts", "modality_slots")
    return {"slices": features.float().cpu(), **{name: batch[name] for name in packing}}
