"""Saliency in the scan as read: the map of each slice, its highest place, the slices to show."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from raddiag_hf.model.scan_resampling import source_slice

MOST_KEY_SLICES = 3

LOWEST_PEAK = 0.5
"""Peaks of the map lower than this part of its highest are not worth a picture."""


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


def saliency_profile(values: NDArray[np.float32]) -> tuple[float, ...]:
    """Return how high the map rises in each encoded slice, the highest of the scan being 1."""
    return tuple(float(height) for height in values.max(axis=(1, 2)))


def choose_key_slices(
    profile: Sequence[float], attention: Sequence[float] | None
) -> tuple[int, ...]:
    """Return up to `MOST_KEY_SLICES` encoded slices to show, the most telling one first.

    The slice where the map is highest, then the one with most attention, then the next highest
    peaks of the map along the depth. A slice beside one that is already chosen shows nothing new.

    Args:
        profile: From `saliency_profile`.
        attention: Attention of each encoded slice; None where the encoder has none.
    """
    heights = np.asarray(profile)
    order = [int(heights.argmax())]
    if attention is not None:
        order.append(int(np.argmax(attention)))
    padded = np.pad(heights, 1, constant_values=-1.0)
    is_peak = (heights >= LOWEST_PEAK) & (heights >= padded[:-2]) & (heights >= padded[2:])
    order += [int(index) for index in np.argsort(-heights, kind="stable") if is_peak[index]]
    chosen: list[int] = []
    for index in order:
        if all(abs(index - other) > 1 for other in chosen):
            chosen.append(index)
    return tuple(chosen[:MOST_KEY_SLICES])


def _resize(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    maps = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))[None, None]
    resized = F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
    return resized[0, 0].numpy()
