"""Chunks: how many slices go through an encoder at once, so that a case of any size fits.

In training a batch norm takes its statistics of what goes through it at once. Slices of one scan
are alike, so a chunk of them alone would not do for the batch. Dealt in turn, every chunk has
slices of all scans, and its statistics are nearly those of the whole.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

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
    norms = _training_batch_norms(encoder)
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
    the statistics of batch norms; see above.

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
    contexts = _chunk_contexts(_training_batch_norms(encoder), len(chunks))
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


def _training_batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms of a module that take statistics of what they are given."""
    return [one for one in module.modules() if isinstance(one, _BatchNorm) and one.training]


@contextmanager
def _shared_momentum(norms: Sequence[_BatchNorm], num_chunks: int) -> Iterator[None]:
    """Let the statistics of so many chunks weigh as much in what is stored as those of one batch.

    With none, statistics are used and not stored: chunks are computed twice in training, and count
    once.
    """
    before = [norm.momentum for norm in norms]
    for norm in norms:
        if num_chunks == 0:
            norm.momentum = 0.0
        elif norm.momentum is not None:
            norm.momentum = 1 - (1 - norm.momentum) ** (1 / num_chunks)
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


def _chunk_contexts(
    norms: Sequence[_BatchNorm], num_chunks: int
) -> Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
    """Return what `torch.utils.checkpoint` asks for: a context of the first pass, and of the other.

    Args:
        norms: `_training_batch_norms` of what is computed twice.
        num_chunks: Chunks of the batch.
    """
    if not norms:
        return lambda: (nullcontext(), nullcontext())
    return lambda: (_shared_momentum(norms, num_chunks), _shared_momentum(norms, 0))
