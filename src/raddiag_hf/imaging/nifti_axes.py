"""Which axis of a volume runs through its slices, and how those slices are shown."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.geometry import plane_of_normal
from raddiag_hf.vocabulary import Plane

DISPLAY_AXES = {0: ("R", "I", "P"), 1: ("P", "I", "L"), 2: ("S", "P", "L")}
"""World axis of the slices (right-left, back-front, foot-head) -> where depth, rows, columns go."""

_SIZE_TOLERANCE = 0.02
"""Voxel sizes within 2 % are one size: matrices are rarely exact."""


def slice_axis(shape: Sequence[int], sizes: Sequence[float]) -> int:
    """Return the axis along which slices were acquired, as far as a volume tells.

    In-plane pixels are square and slices are not: the odd one out of the three voxel sizes. Where
    that decides nothing, files keep slices last; only an axis less than half as long as both
    others says otherwise (thin slabs that some tool has turned to canonical axes).

    Args:
        shape: Voxels along each of the three axes.
        sizes: Voxel size along each; NaN where unknown.
    """
    odd = [
        axis
        for axis in range(3)
        if _same_size(*_others(sizes, axis))
        and not any(_same_size(sizes[axis], other) for other in _others(sizes, axis))
    ]
    if len(odd) == 1:
        return odd[0]
    shortest = int(np.argmin(shape))
    if 2 * shape[shortest] < min(_others(shape, shortest)):
        return shortest
    return 2


def plane_of_affine(affine: NDArray[np.float64], axis: int) -> Plane:
    """Return the plane of the slices stacked along ``axis`` (NIfTI world axes: right, front, up).

    Args:
        affine: Voxel to world, of rank 3.
        axis: The slice axis.
    """
    first, second = (affine[:3, other] for other in range(3) if other != axis)
    normal = np.cross(first, second)
    return plane_of_normal(normal / np.linalg.norm(normal))


def _others(values: Sequence[float], axis: int) -> tuple[float, float]:
    first, second = (values[other] for other in range(3) if other != axis)
    return first, second


def _same_size(first: float, second: float) -> bool:
    return abs(first - second) <= _SIZE_TOLERANCE * max(first, second)
