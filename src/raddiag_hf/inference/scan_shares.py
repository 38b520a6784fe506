"""Scan shares: what each scan did to the decision, by leaving it out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.diagnosis import ScanContribution
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.scan_resampling import source_slice


def leave_one_out(
    model: RadDiagForImageClassification, scan_embeddings: Tensor, modality_slots: Tensor
) -> Tensor:
    """Return logits of the case and of the case without each scan, ``(1 + scans, labels)``.

    Slots stay as they are in the whole case: leaving a scan out does not renumber the others. A
    case of one scan gives one row. float32 on the CPU.
    """
    everything = torch.arange(len(scan_embeddings))
    combinations = [everything]
    if len(everything) > 1:
        combinations += [everything[everything != left_out] for left_out in everything]
    rows = torch.cat(combinations).to(scan_embeddings.device)
    counts = torch.tensor([len(kept) for kept in combinations], device=scan_embeddings.device)
    logits = model.classify_scans(scan_embeddings[rows], modality_slots[rows], counts)
    return logits.float().cpu()


def scan_contributions(
    scans: Sequence[Scan],
    slice_counts: Sequence[int],
    logits: Tensor,
    slice_attentions: Tensor | None,
    label_index: int,
) -> tuple[ScanContribution, ...]:
    """Return what each scan did to one label.

    Args:
        scans: As read.
        slice_counts: Encoded slices of each.
        logits: From `leave_one_out`.
        slice_attentions: From the encoder; None where it has no attention over slices.
        label_index: Column of the label.
    """
    effects: list[float] = (logits[0, label_index] - logits[1:, label_index]).tolist()
    return tuple(
        _contribution(
            scan,
            slice_counts[number],
            share,
            effects[number] if effects else None,
            None if slice_attentions is None else slice_attentions[number].float().cpu(),
        )
        for number, (scan, share) in enumerate(zip(scans, _shares(effects), strict=True))
    )


def _shares(effects: Sequence[float]) -> list[float]:
    """Return each effect's part of all effects by size; no effects mean one scan."""
    if not effects:
        return [1.0]
    total = sum(abs(effect) for effect in effects)
    if total == 0:
        return [1 / len(effects)] * len(effects)
    return [abs(effect) / total for effect in effects]


def _contribution(
    scan: Scan, encoded_slices: int, share: float, effect: float | None, attention: Tensor | None
) -> ScanContribution:
    """Return one scan's record, its key slice counted in the scan as read."""
    weights = None if attention is None else attention[:encoded_slices].tolist()
    key_slice = None
    if weights is not None:
        key_slice = source_slice(weights.index(max(weights)), len(scan.volume), encoded_slices)
    return ScanContribution(
        scan_id=scan.scan_id,
        modality=str(scan.modality),
        anatomy=scan.anatomy.value,
        plane=scan.plane.value,
        source_slices=len(scan.volume),
        encoded_slices=encoded_slices,
        share=share,
        effect=effect,
        key_slice=key_slice,
        slice_attention=None if weights is None else tuple(weights),
    )
