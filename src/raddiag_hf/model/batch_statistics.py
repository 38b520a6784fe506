"""Batch norms of an encoder that sees its slices in chunks: whose statistics, and how often kept.

In training a batch norm takes its statistics of what goes through it at once. Slices of one scan
are alike, so a chunk of them alone would not do for the batch. Dealt in turn, every chunk has
slices of all scans, and its statistics are nearly those of the whole.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def training_batch_norms(module: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms of a module that take statistics of what they are given."""
    return [one for one in module.modules() if isinstance(one, _BatchNorm) and one.training]


@contextmanager
def shared_momentum(norms: Sequence[_BatchNorm], num_chunks: int) -> Iterator[None]:
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


def chunk_contexts(
    norms: Sequence[_BatchNorm], num_chunks: int
) -> Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]:
    """Return what `torch.utils.checkpoint` asks for: a context of the first pass, and of the other.

    Args:
        norms: `training_batch_norms` of what is computed twice.
        num_chunks: Chunks of the batch.
    """
    if not norms:
        return lambda: (nullcontext(), nullcontext())
    return lambda: (shared_momentum(norms, num_chunks), shared_momentum(norms, 0))
