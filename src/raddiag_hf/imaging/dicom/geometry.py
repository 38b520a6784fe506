"""Geometry of slices: normals, planes, distances between slices, gaps and tilt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.scan import Decision, DecisionKind, decision
from raddiag_hf.vocabulary import Plane

Orientation = tuple[float, float, float, float, float, float]
"""Directions of a row and of a column in the patient (``ImageOrientationPatient``)."""
Position = tuple[float, float, float]
"""Where the first pixel lies in the patient, in mm (``ImagePositionPatient``)."""

SAME_POSITION_MM = 0.01
"""Slices closer than this lie at one position; the thinnest acquired ones are 0.1 mm apart."""

_NAMED_PLANE_COSINE = 0.8
"""Within 37 degrees of an anatomical plane, slices bear its name: heads and gantries are tilted."""
_SAME_DIRECTION_COSINE = 0.99995
_GAP_RATIO = 1.5
_UNIFORM_RATIO = 1.05
_TILT_DEGREES = 0.5


def slice_normal(orientation: Orientation) -> NDArray[np.float64]:
    """Return the unit vector through the slices: row direction cross column direction."""
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    normal = np.cross(row, column)
    return np.asarray(normal / np.linalg.norm(normal))


def unit_orientation(cosines: tuple[float, ...] | None) -> Orientation | None:
    """Return the two directions as unit vectors; None unless they are perpendicular ones.

    Args:
        cosines: ``ImageOrientationPatient`` as written, with what rounding left of it.
    """
    if cosines is None:
        return None
    row, column = np.asarray(cosines[:3]), np.asarray(cosines[3:])
    lengths = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if not np.allclose(lengths, 1, atol=0.05) or abs(float(row @ column)) > 0.05:
        return None
    (x, y, z), (u, v, w) = (row / lengths[0]).tolist(), (column / lengths[1]).tolist()
    return x, y, z, u, v, w


def plane_of_normal(normal: NDArray[np.float64]) -> Plane:
    """Return the plane of slices with this unit normal; the sign and the handedness do not matter.

    Args:
        normal: In axes right-left, front-back, head-foot, whichever way each points.
    """
    axis = int(np.argmax(np.abs(normal)))
    if abs(normal[axis]) < _NAMED_PLANE_COSINE:
        return Plane.OBLIQUE
    return (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)[axis]


def same_orientation(first: Orientation, second: Orientation) -> bool:
    """Tell whether two slices are parallel and turned the same way, within about half a degree."""
    rows = float(np.dot(first[:3], second[:3]))
    columns = float(np.dot(first[3:], second[3:]))
    return min(rows, columns) > _SAME_DIRECTION_COSINE


@dataclass(frozen=True)
class StackGeometry:
    """How sorted, parallel slices follow one another.

    Attributes:
        spacing_mm: Distance between neighbouring planes: the lower median; NaN for one slice.
        decisions: Gaps, uneven spacing and tilt.
    """

    spacing_mm: float
    decisions: tuple[Decision, ...]


def measure_stack(normal: NDArray[np.float64], positions: NDArray[np.float64]) -> StackGeometry:
    """Measure slices sorted along their normal.

    Args:
        normal: Unit normal.
        positions: In mm, shape ``(slices, 3)``; slices at one position count once.
    """
    heights = positions @ normal
    is_first = np.append(True, np.diff(heights) > SAME_POSITION_MM)
    positions, heights = positions[is_first], heights[is_first]
    if len(heights) < 2:
        return StackGeometry(float("nan"), ())
    distances = np.diff(heights)
    spacing = float(np.sort(distances)[(len(distances) - 1) // 2])
    decisions = []
    gaps = np.flatnonzero(distances > _GAP_RATIO * spacing)
    num_missing = int(np.rint(distances[gaps] / spacing - 1).sum())
    if num_missing:
        decisions.append(
            decision(
                DecisionKind.MISSING_SLICES,
                num_missing=num_missing,
                after_slices=[int(index) for index in gaps],
            )
        )
    regular = np.delete(distances, gaps)
    if regular.max() > _UNIFORM_RATIO * regular.min():
        decisions.append(
            decision(
                DecisionKind.NON_UNIFORM_SPACING,
                least_mm=round(float(regular.min()), 3),
                most_mm=round(float(regular.max()), 3),
            )
        )
    tilt = _tilt_degrees(normal, positions[-1] - positions[0])
    if tilt > _TILT_DEGREES:
        decisions.append(decision(DecisionKind.GANTRY_TILT, degrees=round(tilt, 1)))
    return StackGeometry(spacing, tuple(decisions))


def _tilt_degrees(normal: NDArray[np.float64], displacement: NDArray[np.float64]) -> float:
    cosine = float(displacement @ normal) / float(np.linalg.norm(displacement))
    return float(np.degrees(np.arccos(min(1.0, abs(cosine)))))
