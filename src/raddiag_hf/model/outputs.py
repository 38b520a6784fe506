"""Outputs: what the models answer."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class RadDiagModelOutput(ModelOutput):
    """What `RadDiagModel` answers.

    Attributes:
        pooler_output: Case embeddings, ``(cases, hidden)``.
        scan_embeddings: ``(scans, hidden)``.
        slice_attentions: Share of each slice in its scan, ``(scans, max slices)``,
            each row summing to 1 over the real slices and 0 beyond; None for encoders without
            slice tokens.
        slice_scores: The same before the softmax; what the key-slice loss reads.
        encoder_attentions: Attention probabilities of every layer over slices, each ``(scans,
            heads, 1 + max slices, 1 + max slices)``, [CLS] first; only when asked for. Of attention
            pooling each head's share of every slice, ``(scans, heads, max slices)``.
        fusion_attentions: The same over scans, each ``(cases, heads, 1 + max scans, 1 + max
            scans)``, or ``(cases, heads, max scans)``; only when asked for.
    """

    pooler_output: Tensor | None = None
    scan_embeddings: Tensor | None = None
    slice_attentions: Tensor | None = None
    slice_scores: Tensor | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None
    fusion_attentions: tuple[Tensor, ...] | None = None


@dataclass
class RadDiagClassifierOutput(ModelOutput):
    """What `RadDiagForImageClassification` answers, beside all that `RadDiagModelOutput` holds.

    Attributes:
        loss: The sum of the partial losses; None without labels.
        logits: ``(cases, labels)``; a sigmoid makes them probabilities, of exclusive labels, too.
        loss_classification: The classification loss.
        loss_key_slice: The key-slice attention loss, its weight applied; None without key slices.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    loss_classification: Tensor | None = None
    loss_key_slice: Tensor | None = None
    pooler_output: Tensor | None = None
    scan_embeddings: Tensor | None = None
    slice_attentions: Tensor | None = None
    slice_scores: Tensor | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None
    fusion_attentions: tuple[Tensor, ...] | None = None
