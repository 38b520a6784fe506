"""Display: the windows of files, applied or kept for what draws them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.header import DicomFrame
from raddiag_hf.imaging.foreign_errors import FOREIGN_ERRORS
from raddiag_hf.imaging.intensity import apply_display_window, has_display_window
from raddiag_hf.imaging.scan import Decision, DecisionKind, decision


def as_displayed(
    volume: NDArray[np.float32], frames: Sequence[DicomFrame]
) -> tuple[NDArray[np.float32], list[Decision]]:
    """Apply the display windows, unless they are malformed or blank the image."""
    try:
        if not all(has_display_window(frame.values) for frame in frames):
            return volume, []
        windowed = np.stack(
            [
                apply_display_window(values, frame.values)
                for values, frame in zip(volume, frames, strict=True)
            ]
        )
    except FOREIGN_ERRORS:
        return volume, [decision(DecisionKind.DISPLAY_WINDOW_IGNORED, why="malformed")]
    if windowed.min() == windowed.max() and volume.min() < volume.max():
        return volume, [decision(DecisionKind.DISPLAY_WINDOW_IGNORED, why="blank")]
    return windowed, [decision(DecisionKind.DISPLAY_WINDOW_APPLIED)]


def clipped(
    volume: NDArray[np.float32], window: tuple[float, float] | None
) -> tuple[NDArray[np.float32], list[Decision]]:
    """Cut off what a window does not show, the values within staying what they are."""
    if window is None:
        return volume, [decision(DecisionKind.DISPLAY_WINDOW_IGNORED, why="absent or malformed")]
    applied = decision(DecisionKind.DISPLAY_WINDOW_APPLIED, lowest=window[0], highest=window[1])
    return volume.clip(*window), [applied]


def common_window(
    volume: NDArray[np.float32], frames: Sequence[DicomFrame]
) -> tuple[float, float] | None:
    """Return the first VOI window that most slices have, as lowest and highest value shown.

    Args:
        volume: Modality values.
        frames: Its slices.

    Returns:
        None where there is none that shows anything of the volume.
    """
    counts: Counter[tuple[float, float]] = Counter()
    for tags in (Tags(frame.values) for frame in frames):
        centers, widths = tags.texts("WindowCenter"), tags.texts("WindowWidth")
        if centers and widths:
            counts[_as_number(centers[0]), _as_number(widths[0])] += 1
    if not counts:
        return None
    center, width = counts.most_common(1)[0][0]
    lowest, highest = center - width / 2, center + width / 2
    shows = width >= 1 and lowest < float(volume.max()) and highest > float(volume.min())
    return (lowest, highest) if shows else None


def _as_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
