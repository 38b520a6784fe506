"""Where along the depth of a scan the model looked, and which slices show it best."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MOST_KEY_SLICES = 3

LOWEST_PEAK = 0.5
"""Peaks of the map lower than this part of its highest are not worth a picture."""


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
