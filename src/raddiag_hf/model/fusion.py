"""Fusion: from the scans of a case to the case, by transformer, attention or late fusion."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention_pooling import AttentionPooling
from .configuration_raddiag import RadDiagConfig
from .packing import pad_groups
from .transformer import TokenEncoder


class CaseEncoding(NamedTuple):
    """What fusion answers.

    Attributes:
        case_embeddings: Shape ``(cases, hidden)``.
        attentions: Attention probabilities of every layer; None unless asked for, and for late
            fusion.
    """

    case_embeddings: Tensor
    attentions: tuple[Tensor, ...] | None


class TransformerFusion(nn.Module):
    """Scan embeddings plus what made them, read by a transformer (paper, equation 3, Figure 7b).

    Scans have no order: the same scans in another order give the same case embedding.
    """

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.modality_embeddings = nn.Embedding(config.num_modality_slots, config.hidden_size)
        self.scan_transformer = TokenEncoder(
            config, config.num_fusion_layers, config.num_fusion_heads
        )

    def forward(
        self,
        scan_embeddings: Tensor,
        modality_slots: Tensor,
        scan_counts: Tensor,
        output_attentions: bool = False,
    ) -> CaseEncoding:
        """Fuse packed scans; see `RadDiagModel.fuse_scans` for the shapes."""
        scans = scan_embeddings + self.modality_embeddings(modality_slots)
        tokens, is_real = pad_groups(scans, scan_counts)  # (cases, max scans, hidden)
        cases = self.scan_transformer(tokens, is_real, output_attentions)
        return CaseEncoding(cases.embedding, cases.attentions)


class AttentionFusion(nn.Module):
    """A weighted mean of a case's scan embeddings; what made a scan is read by its scores alone.

    A new one takes the plain mean, and a case of one scan is that scan.
    """

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.modality_embeddings = nn.Embedding(config.num_modality_slots, config.hidden_size)
        self.scan_attention = AttentionPooling(config, config.num_fusion_heads)

    def forward(
        self,
        scan_embeddings: Tensor,
        modality_slots: Tensor,
        scan_counts: Tensor,
        output_attentions: bool = False,
    ) -> CaseEncoding:
        """Fuse packed scans; see `RadDiagModel.fuse_scans` for the shapes."""
        tokens, is_real = pad_groups(scan_embeddings, scan_counts)  # (cases, max scans, hidden)
        context, _ = pad_groups(self.modality_embeddings(modality_slots), scan_counts)
        cases = self.scan_attention(tokens, is_real, output_attentions, context)
        return CaseEncoding(cases.embedding, cases.attentions)


FUSIONS = {"transformer": TransformerFusion, "attention": AttentionFusion}
"""Fusions of embeddings; late fusion has no weights."""


def pool_embeddings(scan_embeddings: Tensor, scan_counts: Tensor, how: str, draw: Tensor) -> Tensor:
    """Pool scan embeddings into case embeddings, ``(scans, hidden)`` -> ``(cases, hidden)``.

    Args:
        scan_embeddings: Packed scans of all cases.
        scan_counts: Scans of each case, int64, shape ``(cases,)``.
        how: ``max``, ``mean`` or ``random``.
        draw: One number per scan, shape ``(scans,)``; ``random`` takes each case's largest.
    """
    padded, is_real = pad_groups(scan_embeddings, scan_counts)
    if how == "mean":
        return padded.sum(1) / scan_counts[:, None]
    if how == "max":
        return padded.masked_fill(~is_real[..., None], -torch.inf).amax(1)
    return _pick(padded, is_real, scan_counts, draw)


def pool_predictions(scan_logits: Tensor, scan_counts: Tensor, how: str, draw: Tensor) -> Tensor:
    """Pool the predictions of single scans, ``(scans, labels)`` -> logits ``(cases, labels)``.

    ``mean`` averages probabilities, not logits; the logit of that average is returned.

    Source:
        Paper, section 11.2: random picking, max pooling and mean pooling of predictions.
    """
    padded, is_real = pad_groups(scan_logits, scan_counts)
    padding = ~is_real[..., None]
    if how == "mean":
        present = F.logsigmoid(padded).masked_fill(padding, -torch.inf).logsumexp(1)
        absent = F.logsigmoid(-padded).masked_fill(padding, -torch.inf).logsumexp(1)
        return present - absent
    if how == "max":
        return padded.masked_fill(padding, -torch.inf).amax(1)
    return _pick(padded, is_real, scan_counts, draw)


def draw_scans(scan_embeddings: Tensor, training: bool) -> Tensor:
    """Return one number per scan, by which ``random`` fusion picks.

    In training they are drawn at random. In evaluation they are products with one fixed random
    direction: arbitrary with regard to the labels, yet the same for a scan in every run, whatever
    the order of scans and the rest of the batch.
    """
    if training:
        return torch.rand(len(scan_embeddings), device=scan_embeddings.device)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(scan_embeddings.shape[1], generator=generator)
    return scan_embeddings.float() @ direction.to(scan_embeddings.device)


def _pick(padded: Tensor, is_real: Tensor, scan_counts: Tensor, draw: Tensor) -> Tensor:
    draws, _ = pad_groups(draw[:, None], scan_counts)
    picked = draws[..., 0].masked_fill(~is_real, -torch.inf).argmax(1)
    return padded[torch.arange(len(padded), device=padded.device), picked]
