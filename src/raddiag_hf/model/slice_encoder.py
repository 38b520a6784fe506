"""Slice encoder: what encoders with one token for each slice share, up to the scan's embedding."""

from typing import NamedTuple

from torch import Tensor, nn

from .attention_pooling import AttentionPooling
from .chunking import encode_in_chunks
from .configuration_raddiag import RadDiagConfig
from .packing import pad_groups
from .transformer import TokenEncoder


class ScanEncoding(NamedTuple):
    """What a visual encoder answers.

    Attributes:
        scan_embeddings: Shape ``(scans, hidden)``.
        slice_scores: How much each slice draws the scan's [CLS] token, before the softmax, shape
            ``(scans, max slices)``; None for encoders without slice tokens.
        attentions: Attention probabilities of every layer; None unless asked for.
    """

    scan_embeddings: Tensor
    slice_scores: Tensor | None
    attentions: tuple[Tensor, ...] | None

    @property
    def slice_attentions(self) -> Tensor | None:
        """Share of each slice in its scan, ``(scans, max slices)``; every row sums to 1."""
        return None if self.slice_scores is None else self.slice_scores.softmax(1)


class SliceEncoder(nn.Module):
    """Features of every slice by itself, and their fusion into one embedding of each scan.

    A subclass builds its network, then calls `add_slice_fusion`: parameters stand in the order of
    the forward pass.
    """

    def encode_slices(self, pixel_values: Tensor) -> Tensor:
        """Return one feature vector per slice: ``(slices, 1, H, W)`` -> ``(slices, hidden)``."""
        raise NotImplementedError

    def add_slice_fusion(self, config: RadDiagConfig) -> None:
        """Add what ``config.slice_fusion`` names; each has its own name among the weights."""
        self.pools_slices = config.slice_fusion == "attention"
        num_heads = config.num_attention_heads
        if self.pools_slices:
            self.slice_attention = AttentionPooling(config, num_heads)
        else:
            self.slice_transformer = TokenEncoder(
                config, config.num_hidden_layers, num_heads, num_positions=config.max_slices
            )

    @property
    def slice_fusion(self) -> nn.Module:
        """What makes one embedding of a scan's slice tokens."""
        return self.slice_attention if self.pools_slices else self.slice_transformer

    def fuse_slices(
        self, features: Tensor, slice_counts: Tensor, output_attentions: bool
    ) -> ScanEncoding:
        """Fuse packed slice features; see `RadDiagModel.fuse_slices` for the shapes."""
        slices, is_real = pad_groups(features, slice_counts)  # (scans, max slices, hidden)
        scans = self.slice_fusion(slices, is_real, output_attentions)
        return ScanEncoding(scans.embedding, scans.token_scores, scans.attentions)

    def forward(
        self,
        pixel_values: Tensor,
        slice_counts: Tensor,
        chunk_size: int | None,
        output_attentions: bool,
    ) -> ScanEncoding:
        """Encode packed slices; see `RadDiagModel.encode_scans` for the shapes."""
        features = encode_in_chunks(self, self.encode_slices, pixel_values, chunk_size)
        return self.fuse_slices(features, slice_counts, output_attentions)
