"""From the grid of a saliency map to the grid of the scan as read."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from raddiag_hf.model.scan_resampling import source_slice


def saliency_slices(
    values: NDArray[np.float32], shape: tuple[int, int, int]
) -> Iterator[NDArray[np.float32]]:
    """Yield the map of every slice of the scan as read, ``(height, width)`` in [0, 1].

    Slices that the model did not see lie between two that it saw, and take from both by their
    distance; those behind the last one take its map.

    Args:
        values: ``(encoded slices, map height, map width)``.
        shape: Depth, height and width of the scan as read.
    """
    for index in range(shape[0]):
        yield saliency_slice(values, shape, index)


def saliency_slice(
    values: NDArray[np.float32], shape: tuple[int, int, int], index: int
) -> NDArray[np.float32]:
    """Return the map of one slice of the scan as read; see `saliency_slices`."""
    depth, height, width = shape
    if depth == 1:  # a picture may have been given to the model as several equal slices
        return _resize(values.mean(0), height, width)
    places = [source_slice(encoded, depth, len(values)) for encoded in range(len(values))]
    position = float(np.interp(index, places, np.arange(len(values))))
    before, fraction = int(position), position % 1
    after = min(before + 1, len(values) - 1)
    return _resize((1 - fraction) * values[before] + fraction * values[after], height, width)


def saliency_peak(
    values: NDArray[np.float32], shape: tuple[int, int, int]
) -> tuple[int, int, int] | None:
    """Return slice, row and column of the map's highest place in the scan as read; None if empty.

    A plateau is left by its middle.
    """
    if not values.any():
        return None
    encoded = int(values.max(axis=(1, 2)).argmax())
    index = source_slice(encoded, shape[0], len(values))
    plane = saliency_slice(values, shape, index)
    rows, columns = np.nonzero(plane >= plane.max() * (1 - 1e-6))
    nearest = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
    return index, int(rows[nearest]), int(columns[nearest])


def _resize(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    maps = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[None, None]
    resized = F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()
