"""Localisers by geometry: the few coarse slices from which a scan was planned."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from raddiag_hf.imaging.dicom.geometry import Orientation, slice_normal
from raddiag_hf.imaging.dicom.grouping import SliceGroup

_FEWEST_PLANES = 3
_MOST_SLICES = 15
_WIDE_MM = 5.0
_TWO_PLANES_MOST_SLICES, _TWO_PLANES_WIDE_MM = 5, 10.0
_ACROSS_COSINE = 0.5


def is_shaped_like_localiser(groups: Sequence[SliceGroup]) -> bool:
    """Tell whether a magnetic resonance series is one by geometry.

    A few slices, far apart, in three planes across one another; or, fewer and farther, in two. No
    sequence to be read is acquired like that: its planes are series of their own.

    Args:
        groups: What the slices of one series were grouped into.
    """
    placed = [group for group in groups if group.frames[0].is_located]
    if not placed or len(placed) < len(groups):
        return False
    if any(group.header.modality_code != "MR" for group in groups):
        return False
    if any(group.is_changing_view or group.header.mosaic is not None for group in groups):
        return False
    planes: list[Orientation] = []
    for group in placed:
        orientation = group.frames[0].orientation
        if orientation is not None and all(_is_across(orientation, one) for one in planes):
            planes.append(orientation)
    sizes = [len(group.frames) for group in placed]
    steps = [step for group in placed if (step := _least_step_mm(group)) is not None]
    if len(planes) >= _FEWEST_PLANES:
        return max(sizes) <= _MOST_SLICES and all(step >= _WIDE_MM for step in steps)
    return (
        len(planes) == _FEWEST_PLANES - 1
        and len(steps) == len(placed)
        and max(sizes) <= _TWO_PLANES_MOST_SLICES
        and min(steps) >= _TWO_PLANES_WIDE_MM
    )


def _is_across(one: Orientation, other: Orientation) -> bool:
    return abs(float(slice_normal(one) @ slice_normal(other))) < _ACROSS_COSINE


def _least_step_mm(group: SliceGroup) -> float | None:
    """Return the least distance between slices; None for a single one."""
    orientation = group.frames[0].orientation
    if orientation is None or len(group.frames) < 2:
        return None
    normal = slice_normal(orientation)
    heights = [float(np.dot(frame.position or (0, 0, 0), normal)) for frame in group.frames]
    return min(abs(one - other) for one, other in combinations(heights, 2))
