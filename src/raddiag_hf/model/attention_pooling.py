"""Gated attention pooling: a weighted mean of tokens that knows no order, by learnt scores."""

from typing import cast

import torch
from torch import Tensor, nn

from .configuration_raddiag import RadDiagConfig
from .transformer import TokenEncoding

SCORE_WIDTH = 128
"""Width between a token and its scores."""


class ScoreLayer(nn.Linear):
    """Linear layer to the scores, which starts at zero; without a bias, which no softmax sees."""

    def __init__(self, num_heads: int) -> None:
        super().__init__(SCORE_WIDTH, num_heads, bias=False)


class AttentionPooling(nn.Module):
    """Multi-head gated attention pooling of padded rows of tokens.

    Each head scores every token and takes the mean of its own channels, weighted by the softmax of
    its scores. The tokens are pooled as they are, without a projection: a row of one token is
    passed through unchanged, and a new module, whose scores are all zero, takes the plain mean.

    Args:
        config: Hidden size.
        num_heads: Heads; divides the hidden size.

    Source:
        Ilse et al., Attention-based deep multiple instance learning, ICML 2018, equation 9. Heads
        over channels and the normalisation before the scores are ours.
    """

    def __init__(self, config: RadDiagConfig, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.signal = nn.Linear(config.hidden_size, SCORE_WIDTH)
        self.gate = nn.Linear(config.hidden_size, SCORE_WIDTH)
        self.scores = ScoreLayer(num_heads)

    def forward(
        self,
        tokens: Tensor,
        is_real: Tensor,
        output_attentions: bool = False,
        context: Tensor | None = None,
    ) -> TokenEncoding:
        """Pool each row of tokens into one embedding.

        Args:
            tokens: Padded rows, shape ``(rows, tokens, hidden)``, finite in the padding too.
            is_real: Bool, shape ``(rows, tokens)``, True = real; one at least in every row.
            output_attentions: Also return the shares, one tensor ``(rows, heads, tokens)``.
            context: What the scores read beside the normalised tokens, of their shape.
        """
        read = self.norm(tokens)
        if context is not None:
            read = read + context
        scores = self.scores(self.signal(read).tanh() * self.gate(read).sigmoid())
        lowest = torch.finfo(scores.dtype).min
        scores = cast(Tensor, scores).masked_fill(~is_real[..., None], lowest)
        shares = scores.softmax(1)  # (rows, tokens, heads)
        rows, length, _ = tokens.shape
        heads = tokens.view(rows, length, self.num_heads, -1)
        return TokenEncoding(
            embedding=(heads * shares[..., None]).sum(1).flatten(1),
            token_scores=scores.mean(2).masked_fill(~is_real, lowest),
            attentions=(shares.transpose(1, 2),) if output_attentions else None,
        )
