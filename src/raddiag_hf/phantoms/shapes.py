"""Shapes: bodies of ellipsoids and rings, and how they are painted on a scan's voxel grid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.phantoms.tissue import Tissue
from raddiag_hf.vocabulary import Plane

Array: TypeAlias = NDArray[np.float32]
Vector: TypeAlias = NDArray[np.floating[Any]]
"""A position, a direction, or a matrix of directions, in any precision."""

NUM_WAVES = 12

PLANE_AXES: dict[Plane, Vector] = {
    plane: np.array(axes, np.float64)
    for planes, axes in (
        ((Plane.AXIAL,), [[0, 0, 1], [0, 1, 0], [1, 0, 0]]),
        ((Plane.CORONAL, Plane.FRONTAL), [[0, 1, 0], [0, 0, -1], [1, 0, 0]]),
        ((Plane.SAGITTAL, Plane.LATERAL), [[-1, 0, 0], [0, 0, -1], [0, 1, 0]]),
    )
    for plane in planes
}
"""World directions of depth, height and width, one per row; depth is the DICOM slice normal."""


class Stencil(Enum):
    """Which part of a shape is painted."""

    SOLID = "solid"
    FOLDS = "folds"
    """Thin winding sheets, as the sulci of a brain."""
    VESSELS = "vessels"
    """Thin winding lines, as the vessels of a lung."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One ellipsoid, or one ring, of one tissue.

    Attributes:
        tissue: What it is made of.
        centre_mm: World position: x to the patient's left, y to the back, z to the head (DICOM).
        radii_mm: Radii along its own axes; of a ring the first two, measured to the tube's middle.
        rotation: Orthogonal matrix; column i is the world direction of its own axis i.
        tube_mm: Radius of a ring's tube; 0 means an ellipsoid.
        stencil: Which part of it is painted.
        roughness: How far the surface departs from the ellipsoid, as a share of its radius.
    """

    tissue: Tissue
    centre_mm: Vector
    radii_mm: Vector
    rotation: Vector
    tube_mm: float = 0.0
    stencil: Stencil = Stencil.SOLID
    roughness: float = 0.0

    def contains(self, points_mm: Vector) -> NDArray[np.bool_]:
        """Say for each world point, shape ``(..., 3)``, whether it lies inside."""
        own = (points_mm - self.centre_mm) @ self.rotation
        if not self.tube_mm:
            inside: NDArray[np.bool_] = ((own / self.radii_mm) ** 2).sum(-1) <= 1
            return inside
        squared = ((own[..., :2] / self.radii_mm[:2]) ** 2).sum(-1)
        from_tube = (squared - 1) / 2 * self.radii_mm[:2].mean()
        return from_tube**2 + own[..., 2] ** 2 <= self.tube_mm**2

    def moved(self, rotation: Vector, shift_mm: Vector) -> "Shape":
        """Return the shape turned about the world's origin, then shifted."""
        return replace(
            self,
            centre_mm=rotation @ self.centre_mm + shift_mm,
            rotation=rotation @ self.rotation,
        )

    def half_extents_mm(self, axes: Vector) -> Vector:
        """Return how far it reaches from its centre along each row of ``axes``."""
        reach = self.radii_mm
        if self.tube_mm:
            reach = np.append(self.radii_mm[:2], 0) + self.tube_mm
        extents: Vector = np.sqrt((((axes @ self.rotation) * reach) ** 2).sum(1))
        return extents


@dataclass(frozen=True, eq=False)
class Texture:
    """Two smooth random fields that fill a body; stencils and mottle are cut out of them.

    Attributes:
        wave_vectors: Angular frequencies in 1/mm, shape ``(2, NUM_WAVES, 3)``.
        phases: In radians, shape ``(2, NUM_WAVES)``.
    """

    wave_vectors: Vector
    phases: Vector

    def moved(self, rotation: Vector, shift_mm: Vector) -> "Texture":
        """Return the texture that moves along with the body's shapes."""
        wave_vectors = self.wave_vectors @ rotation.T
        return Texture(wave_vectors, self.phases - wave_vectors @ shift_mm)


@dataclass(frozen=True, eq=False)
class Grid:
    """Where a scan's voxels lie in the world.

    Attributes:
        origin_mm: World position of the centre of voxel (0, 0, 0).
        axes: Unit vectors of depth, height and width, one per row.
        spacing_mm: Millimetres between voxels along depth, height and width.
        shape: Voxels along depth, height and width.
    """

    origin_mm: Vector
    axes: Vector
    spacing_mm: Vector
    shape: tuple[int, int, int]

    @classmethod
    def centred(
        cls, centre_mm: Vector, axes: Vector, spacing_mm: Vector, shape: tuple[int, int, int]
    ) -> "Grid":
        """Return the grid whose middle lies at ``centre_mm``."""
        half = spacing_mm * (np.array(shape) - 1) / 2
        return cls(centre_mm - half @ axes, axes, spacing_mm, shape)

    def to_voxels(self, points_mm: Vector) -> Vector:
        """Return world points, shape ``(..., 3)``, as fractional (z, y, x) voxel indices."""
        voxels: Vector = (points_mm - self.origin_mm) @ self.axes.T / self.spacing_mm
        return voxels

    def along(self, axis: int) -> Vector:
        """Return the positions in mm of the voxels along one axis, from ``origin_mm``."""
        positions: Vector = np.arange(self.shape[axis]) * self.spacing_mm[axis]
        return positions


def sample_texture(texture: Texture, grid: Grid) -> Array:
    """Return both fields on a grid, shape ``(2, depth, height, width)``, of unit variance."""
    # A plane wave is a product of one factor per axis, so the sum over waves is a matrix product.
    vectors = texture.wave_vectors @ grid.axes.T
    starts = texture.phases + texture.wave_vectors @ grid.origin_mm
    angles = [grid.along(axis)[:, None] * vectors[:, None, :, axis] for axis in range(3)]
    angles[0] = angles[0] + starts[:, None, :]
    depth, height, width = (np.exp(1j * angle.astype(np.complex64)) for angle in angles)
    plane = (depth[:, :, None, :] * height[:, None, :, :]).reshape(2, -1, NUM_WAVES)
    fields = plane.real @ width.real.mT - plane.imag @ width.imag.mT
    fields *= np.float32(np.sqrt(2 / NUM_WAVES))
    return fields.reshape(2, *grid.shape).astype(np.float32, copy=False)


def cover(shape: Shape, grid: Grid, fields: Array) -> tuple[tuple[slice, slice, slice], Array]:
    """Return the block of voxels that a shape may touch, and its share of each of them.

    Args:
        shape: What to lay over the grid.
        grid: The voxels.
        fields: The body's texture on this grid, from ``sample_texture``.

    Returns:
        The block as slices, and values in [0, 1] of the block's shape: 1 well inside, a ramp of
        one in-plane pixel across the surface. Empty where the shape misses the grid.
    """
    axes = grid.axes @ shape.rotation
    if shape.tube_mm:
        ramp = shape.tube_mm / (2 * grid.spacing_mm[2])
    else:
        ramp = 3 / (1 / shape.radii_mm).sum() / (2 * grid.spacing_mm[2])
    margin = np.sqrt(1 + 0.5 / ramp + 2.5 * shape.roughness)
    centre = grid.to_voxels(shape.centre_mm)
    reach = shape.half_extents_mm(grid.axes) * margin / grid.spacing_mm
    if shape.tube_mm:
        reach += shape.tube_mm * (margin - 1) / grid.spacing_mm
    first = np.clip(np.ceil(centre - reach), 0, grid.shape).astype(int)
    last = np.clip(np.floor(centre + reach) + 1, first, grid.shape).astype(int)
    block = (slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2]))
    if (first == last).any():
        return block, np.zeros(tuple(last - first), np.float32)

    # Positions in single precision, as all that is computed from them for every voxel.
    d, h, w = (
        ((np.arange(first[axis], last[axis]) - centre[axis]) * grid.spacing_mm[axis]).astype(
            np.float32
        )
        for axis in range(3)
    )
    d, h = d[:, None, None], h[:, None]
    used = 2 if shape.tube_mm else 3
    form = (axes[:, :used] / shape.radii_mm[:used] ** 2) @ axes[:, :used].T
    form = form.astype(np.float32)
    # Expanded so that only three operations touch every voxel; the rest are planes and lines.
    in_plane = form[1, 1] * h * h + form[2, 2] * w * w + 2 * form[1, 2] * h * w
    level = d * (2 * (form[0, 1] * h + form[0, 2] * w))
    level += in_plane
    level += form[0, 0] * d * d
    if shape.tube_mm:
        level -= 1
        level *= shape.radii_mm[:2].mean() / (2 * shape.tube_mm)
        level *= level
        normal = (axes[:, 2] / shape.tube_mm).astype(np.float32)
        level += (d * normal[0] + (h * normal[1] + w * normal[2])) ** 2
    if shape.roughness:
        level += np.float32(shape.roughness) * fields[1][block]
    level -= 1
    level *= -ramp
    level += 0.5
    np.clip(level, 0, 1, out=level)
    if shape.stencil is Stencil.FOLDS:
        level *= np.exp(-((fields[0][block] / np.float32(0.22)) ** 2))
    elif shape.stencil is Stencil.VESSELS:
        level *= np.exp(-(fields[0][block] ** 2 + fields[1][block] ** 2) / np.float32(0.06))
    return block, level


def paint(
    shapes: Sequence[Shape],
    grid: Grid,
    fields: Array,
    channels: Sequence[Sequence[float]],
    mottle_range: float = 0.0,
) -> Array:
    """Paint shapes over each other, the last on top.

    Args:
        shapes: In painting order.
        grid: The voxels to paint.
        fields: The body's texture on this grid, from ``sample_texture``.
        channels: For each channel the value of the background, then that of every shape.
        mottle_range: The display range of channel 0, which scales the tissues' mottle.

    Returns:
        Values, shape ``(channels, depth, height, width)``.
    """
    painted = np.empty((len(channels), *grid.shape), np.float32)
    for channel, values in enumerate(channels):
        painted[channel] = values[0]
    for index, shape in enumerate(shapes, start=1):
        block, share = cover(shape, grid, fields)
        if not share.size:
            continue
        for channel, values in enumerate(channels):
            target = painted[channel][block]
            step = values[index] - target
            if channel == 0 and shape.tissue.mottle and mottle_range:
                step += np.float32(shape.tissue.mottle * mottle_range) * fields[1][block]
            step *= share
            target += step
    return painted
