"""Transformer over the slices of a scan or the scans of a case, read at its [CLS]."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .configuration_raddiag import RadDiagConfig


class TokenEncoding(NamedTuple):
    """What a `TokenEncoder` or an `AttentionPooling` answers for each row of tokens.

    Attributes:
        embedding: The normalised [CLS] token, or the pooled tokens, shape ``(rows, hidden)``.
        token_scores: How much each token draws the embedding, before the softmax and averaged over
            heads, shape ``(rows, tokens)``; padding holds the lowest finite value. Of a transformer
            the scaled query-key products of [CLS] in the last layer, which the reference trains
            towards the key slice.
        attentions: Attention probabilities of every layer, each ``(rows, heads, 1 + tokens,
            1 + tokens)`` with [CLS] first, or the shares of a pooling, ``(rows, heads, tokens)``;
            None unless asked for.
    """

    embedding: Tensor
    token_scores: Tensor
    attentions: tuple[Tensor, ...] | None


class Attention(nn.Module):
    """Multi-head self-attention over padded rows of tokens."""

    def __init__(self, config: RadDiagConfig, num_heads: int) -> None:
        super().__init__()
        self.config = config
        self.num_heads = num_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, tokens: Tensor, is_real: Tensor, output_attentions: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attend from every token to every real one.

        Args:
            tokens: Shape ``(rows, tokens, hidden)``.
            is_real: Bool, shape ``(rows, tokens)``; the first token of a row is always real.
            output_attentions: Compute the probabilities explicitly and return them.

        Returns:
            New tokens of the same shape; the scores of the first token's query with all other
            tokens, mean over heads, ``(rows, tokens - 1)``; probabilities ``(rows, heads, tokens,
            tokens)`` or None.
        """
        rows, length, hidden = tokens.shape
        head_shape = (rows, length, self.num_heads, hidden // self.num_heads)
        query, key, value = (
            projection(tokens).view(head_shape).transpose(1, 2)  # (rows, heads, tokens, head)
            for projection in (self.query, self.key, self.value)
        )
        lowest = torch.finfo(query.dtype).min
        scale = 1 / math.sqrt(hidden // self.num_heads)
        mask = is_real[:, None, None, :]

        probabilities = None
        if output_attentions or self.config._attn_implementation == "eager":
            scores = (query @ key.transpose(-1, -2)) * scale
            probabilities = scores.masked_fill(~mask, lowest).softmax(-1)
            mixed = probabilities @ value
            first_scores = scores[:, :, 0]
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
            first_scores = (key @ query[:, :, 0, :, None]).squeeze(-1) * scale
        token_scores = first_scores.mean(1).masked_fill(~is_real, lowest)[:, 1:]
        mixed = mixed.transpose(1, 2).reshape(rows, length, hidden)
        return self.output(mixed), token_scores, probabilities if output_attentions else None


class TransformerLayer(GradientCheckpointingLayer):
    """Attention and a feed-forward network, each beside a residual path.

    Source:
        With ``normalize_attention_input=False`` the layer of qiaoyu-zheng/RP3D-Diag, which computes
        the first normalisation and throws it away.
    """

    def __init__(self, config: RadDiagConfig, num_heads: int) -> None:
        super().__init__()
        hidden, eps = config.hidden_size, config.layer_norm_eps
        self.attention_norm = (
            nn.LayerNorm(hidden, eps=eps) if config.normalize_attention_input else nn.Identity()
        )
        self.attention = Attention(config, num_heads)
        self.feed_forward_norm = nn.LayerNorm(hidden, eps=eps)
        self.fc1 = nn.Linear(hidden, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, hidden)
        self.activation = ACT2FN[config.hidden_act]

    def forward(
        self, tokens: Tensor, is_real: Tensor, output_attentions: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return new tokens, and what `Attention` returns beside them."""
        attended, token_scores, probabilities = self.attention(
            self.attention_norm(tokens), is_real, output_attentions
        )
        tokens = tokens + attended
        tokens = tokens + self.fc2(self.activation(self.fc1(self.feed_forward_norm(tokens))))
        return tokens, token_scores, probabilities


class TokenEncoder(nn.Module):
    """A [CLS] token, optional learned positions, transformer layers, and a last normalisation.

    Args:
        config: Widths and attention implementation.
        num_layers: Transformer layers, at least 1.
        num_heads: Attention heads; divides the hidden size.
        num_positions: Tokens beside [CLS] that have a learned position; 0 for an unordered set.
    """

    def __init__(
        self, config: RadDiagConfig, num_layers: int, num_heads: int, num_positions: int = 0
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.position_embeddings = (
            nn.Parameter(torch.zeros(1, 1 + num_positions, config.hidden_size))
            if num_positions
            else None
        )
        self.layers = nn.ModuleList(TransformerLayer(config, num_heads) for _ in range(num_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, tokens: Tensor, is_real: Tensor, output_attentions: bool = False
    ) -> TokenEncoding:
        """Encode each row of tokens into one embedding.

        Args:
            tokens: Padded rows, shape ``(rows, tokens, hidden)``; what padding holds is ignored.
            is_real: Bool, shape ``(rows, tokens)``, True = real.
            output_attentions: Also return the attention probabilities of every layer.
        """
        rows, length, _ = tokens.shape
        tokens = torch.cat([self.cls_token.expand(rows, -1, -1), tokens], dim=1)
        if self.position_embeddings is not None:
            tokens = tokens + self.position_embeddings[:, : 1 + length]
        is_real = F.pad(is_real, (1, 0), value=True)
        attentions = []
        for layer in self.layers:
            tokens, token_scores, probabilities = layer(tokens, is_real, output_attentions)
            attentions.append(probabilities)
        return TokenEncoding(
            embedding=self.norm(tokens[:, 0]),
            token_scores=token_scores,
            attentions=tuple(attentions) if output_attentions else None,
        )
