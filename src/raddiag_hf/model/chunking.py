"""Encode in chunks, so that the memory of activations does not grow with the case."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def encode_in_chunks(
    encode: Callable[[Tensor], Tensor], inputs: Tensor, chunk_size: int | None
) -> Tensor:
    """Apply ``encode`` to chunks of rows and join the results.

    Where gradients are wanted, a chunk's activations are dropped after its forward pass and
    computed again in the backward pass: one chunk's activations are alive at a time, for one more
    forward pass, and the gradients are the same.

    Args:
        encode: Maps ``(rows, ...)`` to ``(rows, features)``, every row by itself.
        inputs: Shape ``(rows, ...)``.
        chunk_size: Rows of a chunk; None for all at once.

    Returns:
        ``(rows, features)``.
    """
    if chunk_size is None or len(inputs) <= chunk_size:
        return encode(inputs)
    chunks = torch.split(inputs, chunk_size)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(encode, chunk, use_reentrant=False) for chunk in chunks])
    return torch.cat([encode(chunk) for chunk in chunks])
