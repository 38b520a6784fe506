"""Chunks: how many slices go through an encoder at once, so that a case of any size fits."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .batch_statistics import chunk_contexts, training_batch_norms

INFERENCE_CHUNK_SIZE = 8
"""Slices that are encoded at once in inference mode: few enough for a processor's caches."""
CHECKPOINTED_CHUNK_SIZE = 8
"""Slices that are encoded at once under activation checkpointing, where the config names none."""
EVALUATION_CHUNK_SIZE = 64
"""The same where no gradient is wanted and chunks change nothing: so that any case fits."""


def choose_chunk_size(
    encoder: nn.Module, named: int | None, *, is_folded: bool, checkpoints: bool
) -> int | None:
    """Return how many slices to encode at once, refusing what would change the training.

    Args:
        encoder: In training or evaluation mode.
        named: By the configuration; None where it leaves that open.
        is_folded: The weights are those of the inference mode.
        checkpoints: Activation checkpointing is on.

    Returns:
        None for all.

    Raises:
        ValueError: If batch norms wait for other processes, which may have other numbers of chunks,
            or checkpointing would choose the slices that they take their statistics of.
    """
    norms = training_batch_norms(encoder)
    if not torch.is_grad_enabled():
        if named is not None or norms:
            return named
        return INFERENCE_CHUNK_SIZE if is_folded else EVALUATION_CHUNK_SIZE
    if named is not None:
        if any(isinstance(one, nn.SyncBatchNorm) for one in norms):
            raise ValueError(
                f"encoder_chunk_size is {named}, but batch norms that wait for other processes "
                "cannot be trained in chunks, of which each process may have another number"
            )
        return named
    if encoder.training and checkpoints:
        if norms:
            raise ValueError(
                "gradient checkpointing needs encoder_chunk_size, or freeze_batch_norm=True: "
                "batch statistics are of one chunk"
            )
        return CHECKPOINTED_CHUNK_SIZE
    return INFERENCE_CHUNK_SIZE if is_folded else None


def encode_in_chunks(
    encoder: nn.Module,
    encode: Callable[[Tensor], Tensor],
    inputs: Tensor,
    chunk_size: int | None,
) -> Tensor:
    """Apply ``encode`` to chunks of rows and join the results.

    Where gradients are wanted, a chunk's activations are dropped after its forward pass and
    computed again in the backward pass: one chunk's activations are alive at a time, for one more
    forward pass, and the gradients are the same. Rows are then dealt to chunks in turn, because of
    the statistics of batch norms; see `batch_statistics`.

    Args:
        encoder: Whose batch norms ``encode`` runs through.
        encode: Maps ``(rows, ...)`` to ``(rows, features)``; every row by itself, but for the
            statistics of batch norms in training.
        inputs: Shape ``(rows, ...)``.
        chunk_size: Rows of a chunk; None for all at once.

    Returns:
        ``(rows, features)``.
    """
    if chunk_size is None or len(inputs) <= chunk_size:
        return encode(inputs)
    if not torch.is_grad_enabled():
        return torch.cat([encode(chunk) for chunk in torch.split(inputs, chunk_size)])
    chunks = _deal_rows(inputs, chunk_size)
    contexts = chunk_contexts(training_batch_norms(encoder), len(chunks))
    return _join_dealt(
        [checkpoint(encode, one, use_reentrant=False, context_fn=contexts) for one in chunks]
    )


def _deal_rows(rows: Tensor, chunk_size: int) -> list[Tensor]:
    """Return rows dealt in turn to as few chunks of at most ``chunk_size`` as hold them all."""
    num_chunks = -(-len(rows) // chunk_size)
    return [rows[first::num_chunks] for first in range(num_chunks)]


def _join_dealt(chunks: Sequence[Tensor]) -> Tensor:
    """Return rows in the order that they had before `_deal_rows`."""
    total = sum(map(len, chunks))
    places = [torch.arange(first, total, len(chunks)) for first in range(len(chunks))]
    return torch.cat(list(chunks))[torch.cat(places).argsort().to(chunks[0].device)]
