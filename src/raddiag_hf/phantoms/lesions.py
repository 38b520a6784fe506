"""Lesions of a phantom: where they lie in the body, and where in each scan."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.phantoms.body import Body
from raddiag_hf.phantoms.disorders import SIZES, PhantomDisorder
from raddiag_hf.phantoms.rendering import ScanPlan
from raddiag_hf.phantoms.shapes import Shape
from raddiag_hf.phantoms.ultrasound import brightness_lost, seen_by_sector
from raddiag_hf.vocabulary import Modality

_NUM_CANDIDATES = 24
_PROBE_POINTS = np.vstack([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
_MAX_BRIGHTNESS_LOST = 0.3


@dataclass(frozen=True, eq=False)
class Lesion:
    """One disorder at its place in a body."""

    disorder: PhantomDisorder
    shape: Shape


@dataclass(frozen=True)
class LesionLocation:
    """Where one lesion lies in one scan.

    Attributes:
        disorder: Its name.
        centre: Fractional voxel index (z, y, x); may lie outside a scan that does not cover it.
        radii: Of the bounding ellipsoid along (z, y, x), in voxels.
        visible: Whether the scan shows it: its centre is inside the image, a slice meets it,
            nothing shadows it, and it differs from the tissue around it in this modality and
            sequence.
    """

    disorder: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    visible: bool

    def mask(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return which voxels of a scan of this shape lie inside the bounding ellipsoid."""
        squared = sum(
            ((position - centre) / radius) ** 2
            for position, centre, radius in zip(
                np.ogrid[tuple(slice(n) for n in shape)], self.centre, self.radii, strict=True
            )
        )
        return np.asarray(squared <= 1)


def place_lesion(
    disorder: PhantomDisorder,
    body: Body,
    others: Sequence[Lesion],
    generator: np.random.Generator,
) -> Lesion:
    """Draw a lesion of a disorder: within its site's tissue, and apart from the other lesions."""
    site = body.sites[disorder.site.name]
    low, high = SIZES[disorder.size]
    radius = generator.uniform(low, high) * body.field_of_view_mm
    radii = radius * generator.uniform(0.88, 1.12, 3)

    directions = generator.normal(size=(_NUM_CANDIDATES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    offsets = directions * generator.random((_NUM_CANDIDATES, 1)) ** (1 / 3)
    room = np.maximum(site.radii_mm - 0.8 * radius, 0.25 * site.radii_mm)
    centres = site.centre_mm + (offsets * room) @ site.rotation.T

    topmost = body.topmost(centres[:, None, :] + 0.75 * radius * _PROBE_POINTS)
    is_host = np.array([shape.tissue == disorder.site.host for shape in body.shapes])
    scores = (is_host[topmost] & (topmost >= 0)).mean(axis=1)
    for other in others:
        gap = np.linalg.norm(centres - other.shape.centre_mm, axis=1)
        scores -= gap < radii.max() + other.shape.radii_mm.max()
    shape = Shape(
        disorder.kind.in_host(disorder.site.host),
        centre_mm=centres[scores.argmax()],
        radii_mm=radii,
        rotation=site.rotation,
        roughness=disorder.kind.roughness,
    )
    return Lesion(disorder, shape)


def shown_shapes(lesions: Sequence[Lesion], plan: ScanPlan) -> list[Shape]:
    """Return the shapes of those lesions that a scan's modality and sequence can show."""
    return [lesion.shape for lesion in lesions if _differs(lesion, plan)]


def locate(lesion: Lesion, body: Body, plan: ScanPlan) -> LesionLocation:
    """Return where a lesion lies in a planned scan, and whether the scan shows it."""
    centre = plan.grid.to_voxels(lesion.shape.centre_mm)
    radii = lesion.shape.half_extents_mm(plan.grid.axes) / plan.grid.spacing_mm
    if plan.protocol.modality is Modality.XRAY:
        # The slice of a projection holds the lesion wherever it lies along the rays.
        centre[0], radii[0] = 0, 0.5
    return LesionLocation(
        lesion.disorder.name,
        (float(centre[0]), float(centre[1]), float(centre[2])),
        (float(radii[0]), float(radii[1]), float(radii[2])),
        visible=_differs(lesion, plan)
        and _is_covered(centre, radii, plan)
        and not _is_shadowed(lesion, body, plan),
    )


def _differs(lesion: Lesion, plan: ScanPlan) -> bool:
    return plan.protocol.shows(lesion.shape.tissue, lesion.disorder.site.host)


def _is_covered(centre: NDArray[np.floating], radii: NDArray[np.floating], plan: ScanPlan) -> bool:
    depth, height, width = plan.grid.shape
    row, column = round(float(centre[1])), round(float(centre[2]))
    if not (0 <= row < height and 0 <= column < width):
        return False
    if (
        plan.protocol.modality is Modality.ULTRASOUND
        and not seen_by_sector(height, width)[row, column]
    ):
        return False
    nearest = min(max(round(float(centre[0])), 0), depth - 1)
    return abs(nearest - float(centre[0])) <= 0.8 * float(radii[0])


def _is_shadowed(lesion: Lesion, body: Body, plan: ScanPlan) -> bool:
    if plan.protocol.modality is not Modality.ULTRASOUND:
        return False
    target = lesion.shape.centre_mm
    depth_mm = plan.grid.axes[1] @ (target - plan.grid.origin_mm)
    skin = target - depth_mm * plan.grid.axes[1]
    return bool(brightness_lost(body, skin[None], target)[0] > _MAX_BRIGHTNESS_LOST)
