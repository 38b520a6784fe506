"""Replace rows of slices by differences to rows above, which compress better, and undo it fast."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 32
"""Summing up all rows one by one would take as long as decompression. So rows come in blocks: the
first row of a block builds on the first of the block before, and the n-th rows of all blocks are
summed at once. 1,024 rows then take 62 steps, for 3 % more bytes."""

Values = NDArray[np.unsignedinteger[Any]]


def row_deltas(values: Values) -> Values:
    """Return the differences between rows, modulo the number of values of the type.

    Args:
        values: Unsigned integers, shape ``(depth, height, width)``.
    """
    deltas = values.copy()
    for (above, _), (_, row) in zip(_steps(values), _steps(deltas), strict=True):
        row -= above
    return deltas


def undo_row_deltas(deltas: Values) -> None:
    """Turn what `row_deltas` gave back into values, in place."""
    for above, row in _steps(deltas):
        row += above


def _steps(values: Values) -> Iterator[tuple[Values, Values]]:
    """Yield the rows to build on and the rows that build on them, in the order of undoing."""
    depth, height, width = values.shape
    in_blocks = height // BLOCK_ROWS * BLOCK_ROWS
    blocks = values[:, :in_blocks].reshape(depth, -1, BLOCK_ROWS, width)
    rest = values[:, max(0, in_blocks - 1) :]
    return chain(
        pairwise(blocks[:, :, 0].swapaxes(0, 1)),
        pairwise(blocks.transpose(2, 0, 1, 3)) if in_blocks else (),
        pairwise(rest.swapaxes(0, 1)),
    )
