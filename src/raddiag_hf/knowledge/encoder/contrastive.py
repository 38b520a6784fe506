"""The contrastive objective: a text is closer to its own than to all others of the same format."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder


class ContrastiveEncoder(nn.Module):
    """A text encoder with the loss and the temperature of its pre-training.

    Batches of any size fit: texts are encoded in chunks whose activations are computed again in the
    backward pass, one chunk at a time, with the same gradients. Only embeddings, a few hundred
    numbers a text, are kept for the whole batch.

    Attributes:
        encoder: What is trained.
        log_temperature: Logarithm of the temperature; trained where it is learned.

    Args:
        encoder: What to train.
        temperature: At the start, or throughout.
        learn_temperature: Train the temperature.
        symmetric: Average the loss of equation 4 with that in which anchor and positive are
            exchanged; the paper's equation has the first only.
        chunk_size: Texts that are encoded at once; None for the whole batch.

    Source:
        Paper, equation 4, with the positive in the denominator too, as in InfoNCE. Recomputation
        by chunks gives the gradients of GradCache (Gao et al., 2021).
    """

    def __init__(
        self,
        encoder: TextEncoder,
        *,
        temperature: float = 0.05,
        learn_temperature: bool = True,
        symmetric: bool = True,
        chunk_size: int | None = 64,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.log_temperature = nn.Parameter(
            torch.tensor([math.log(temperature)]), requires_grad=learn_temperature
        )
        self.symmetric = symmetric
        self.chunk_size = chunk_size

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        anchor_concepts: Tensor,
        candidate_concepts: Tensor,
        is_related: Tensor,
    ) -> dict[str, Tensor]:
        """Return the ``loss`` of a batch of pairs of one kind.

        Args:
            input_ids: Tokens of all anchors, then of all positives in the same order, then of hard
                negatives, ``(texts, tokens)``.
            attention_mask: One for tokens, zero for padding behind them.
            anchor_concepts: Whose name each anchor is, ``(pairs,)``.
            candidate_concepts: Whose text each positive and each hard negative is,
                ``(pairs + hard negatives,)``.
            is_related: Whether a concept of the batch is another one, or broader or narrower,
                booleans, ``(concepts, concepts)``.
        """
        embeddings = self.embed(input_ids, attention_mask)
        anchors, candidates = torch.split(
            embeddings, [len(anchor_concepts), len(candidate_concepts)]
        )
        loss = contrastive_loss(
            anchors,
            candidates,
            anchor_concepts,
            candidate_concepts,
            is_related,
            temperature=self.log_temperature.exp(),
            symmetric=self.symmetric,
        )
        return {"loss": loss}

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed tokens in chunks of texts of similar length; return ``(texts, width)``."""
        lengths = attention_mask.sum(1)
        order = lengths.argsort(stable=True)
        chunk_size = self.chunk_size or len(order)
        embedded = []
        for rows in torch.split(order, chunk_size):
            width = int(lengths[rows[-1]])
            tokens = input_ids[rows, :width], attention_mask[rows, :width]
            if torch.is_grad_enabled() and len(order) > chunk_size:
                embedded.append(checkpoint(self._encode, *tokens, use_reentrant=False))
            else:
                embedded.append(self._encode(*tokens))
        return torch.cat(embedded)[order.argsort()]

    def _encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.encoder.forward(input_ids=input_ids, attention_mask=attention_mask)


def contrastive_loss(
    anchors: Tensor,
    candidates: Tensor,
    anchor_concepts: Tensor,
    candidate_concepts: Tensor,
    is_related: Tensor,
    *,
    temperature: Tensor,
    symmetric: bool,
) -> Tensor:
    """Return the mean loss of picking each anchor's positive among all candidates.

    A candidate is no negative, and left out of that anchor's denominator, if it is a text of the
    positive's concept, or of one that is the anchor's, or broader or narrower than it.

    Args:
        anchors: Unit length, ``(pairs, width)``.
        candidates: The positives in the order of their anchors, then hard negatives; unit length,
            ``(pairs + hard negatives, width)``.
        anchor_concepts: ``(pairs,)``.
        candidate_concepts: ``(pairs + hard negatives,)``.
        is_related: Symmetric booleans with a true diagonal, ``(concepts, concepts)``.
        temperature: What similarities are divided by.
        symmetric: Average with picking each positive's anchor among all anchors.
    """
    pairs = len(anchors)
    similarities = (anchors @ candidates.T).float() / temperature
    own = torch.arange(pairs, device=anchors.device)
    positive_concepts = candidate_concepts[:pairs]
    is_kin = is_related[anchor_concepts][:, candidate_concepts] | (
        candidate_concepts == positive_concepts[:, None]
    )
    is_kin[own, own] = False
    loss = F.cross_entropy(similarities.masked_fill(is_kin, -torch.inf), own)
    if not symmetric:
        return loss
    is_kin = (
        is_related[positive_concepts][:, anchor_concepts]
        | (anchor_concepts == anchor_concepts[:, None])
        | (positive_concepts == positive_concepts[:, None])
    )
    is_kin[own, own] = False
    reverse = similarities[:, :pairs].T.masked_fill(is_kin, -torch.inf)
    return (loss + F.cross_entropy(reverse, own)) / 2
