"""Puts lesions into a phantom body and plans the scans that look at them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.phantom_body import Body
from raddiag_hf.imaging.phantom_disorders import SIZES, PhantomDisorder
from raddiag_hf.imaging.phantom_protocols import ScanProtocol
from raddiag_hf.imaging.phantom_rendering import ScanPlan
from raddiag_hf.imaging.phantom_shapes import PLANE_AXES, Grid, Shape, Vector
from raddiag_hf.imaging.phantom_ultrasound import seen_by_sector
from raddiag_hf.vocabulary import Modality

MIN_SLICES = 6

_NUM_CANDIDATES = 24
_PROBE_POINTS = np.vstack([np.zeros((1, 3)), np.eye(3), -np.eye(3)])
_MAX_ABSORPTION = 0.3


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
        visible: Whether the scan shows it: its slices cover the lesion, and the lesion differs
            from the tissue around it in this modality and sequence.
    """

    disorder: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    visible: bool

    def mask(self, shape: tuple[int, int, int]) -> NDArray[np.bool_]:
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
    hosts = np.array([shape.tissue == disorder.site.host for shape in body.shapes])
    scores = (hosts[topmost] & (topmost >= 0)).mean(axis=1)
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


def plan_scan(
    protocol: ScanProtocol,
    body: Body,
    target_mm: Vector,
    image_size: int,
    max_slices: int,
    seed: tuple[int, ...],
    generator: np.random.Generator,
) -> ScanPlan:
    """Draw how a scan of one protocol is made of a body, with ``target_mm`` among its slices."""
    noise = float(generator.random())
    if protocol.modality is Modality.ULTRASOUND:
        grid = _plan_sweep(protocol, body, target_mm, image_size, max_slices, generator)
        return ScanPlan(protocol, grid, noise, seed)
    axes = PLANE_AXES[protocol.plane]
    across_mm = body.field_of_view_mm * generator.uniform(0.95, 1.12)
    shift_mm = generator.normal(0, 0.015, 3) * body.field_of_view_mm
    in_plane_mm = across_mm / image_size
    if protocol.modality is Modality.XRAY:
        slices, step_mm, depth_mm = 1, 1.0, 0.0
    else:
        slices, step_mm = _draw_slices(body, max_slices, generator)
        depth_mm = float(axes[0] @ target_mm) + _miss(slices, step_mm, generator)
    in_plane = shift_mm - axes[0] * (axes[0] @ shift_mm)
    grid = Grid.centred(
        in_plane + axes[0] * depth_mm,
        axes,
        np.array([step_mm, in_plane_mm, in_plane_mm]),
        (slices, image_size, image_size),
    )
    return ScanPlan(protocol, grid, noise, seed)


def _draw_slices(body: Body, max_slices: int, generator: np.random.Generator) -> tuple[int, float]:
    """Return the number of slices and their distance: even a small lesion meets one of them."""
    slices = int(generator.integers(MIN_SLICES, max_slices + 1))
    smallest = SIZES["small"][0] * body.field_of_view_mm
    return slices, float(generator.uniform(0.6, 1.1) * smallest)


def _miss(slices: int, step_mm: float, generator: np.random.Generator) -> float:
    """Return how far a stack's middle lies from its target, which stays within the stack."""
    return float(generator.uniform(-0.5, 0.5) * (slices - 2) * step_mm)


def _plan_sweep(
    protocol: ScanProtocol,
    body: Body,
    target_mm: Vector,
    image_size: int,
    max_slices: int,
    generator: np.random.Generator,
) -> Grid:
    """Find the direction in which least bone and gas lie before the target, as a sonographer."""
    outline = body.shapes[0]
    sideways = np.sign(target_mm[0]) * generator.uniform(0.1, 1.6, _NUM_CANDIDATES)
    towards_head = generator.normal(0, 0.2, _NUM_CANDIDATES)
    from_skin = np.stack([-sideways, np.ones(_NUM_CANDIDATES), -towards_head], axis=1)
    from_skin /= np.linalg.norm(from_skin, axis=1, keepdims=True)
    distance = np.array([_distance_to_surface(outline, target_mm, -row) for row in from_skin])
    skins = target_mm - from_skin * distance[:, None]
    chosen = int((absorption_before(body, skins, target_mm) + distance / 1000).argmin())

    down = from_skin[chosen]
    towards_feet = np.array([0, 0, -1.0]) + down * down[2]
    towards_feet /= np.linalg.norm(towards_feet)
    aside = np.cross(towards_feet, down)
    if protocol.sequence == "longitudinal":
        axes = np.stack([aside, down, towards_feet])
    else:
        axes = np.stack([towards_feet, down, -aside])
    frames, step_mm = _draw_slices(body, max_slices, generator)
    depth_mm = max(distance[chosen] * generator.uniform(1.5, 1.9), 0.35 * body.field_of_view_mm)
    pixel_mm = depth_mm / image_size
    origin = (
        skins[chosen]
        - axes[2] * (pixel_mm * (image_size - 1) / 2 + generator.normal(0, 0.03) * depth_mm)
        - axes[0] * (step_mm * (frames - 1) / 2 + _miss(frames, step_mm, generator))
    )
    return Grid(
        origin,
        axes,
        np.array([step_mm, pixel_mm, pixel_mm]),
        (frames, image_size, image_size),
    )


def _distance_to_surface(outline: Shape, point_mm: Vector, direction: Vector) -> float:
    """Return how far along a direction a point inside an ellipsoid is from its surface."""
    start = (point_mm - outline.centre_mm) @ outline.rotation / outline.radii_mm
    step = direction @ outline.rotation / outline.radii_mm
    half_b, a, c = float(start @ step), float(step @ step), float(start @ start) - 1
    return (max(half_b**2 - a * c, 0) ** 0.5 - half_b) / a


def absorption_before(body: Body, skins_mm: Vector, target_mm: Vector) -> Vector:
    """Return the loss of ultrasound brightness from each point of the skin to a target."""
    along = np.linspace(0.02, 0.9, 24)
    path = target_mm - skins_mm
    points = skins_mm[:, None, :] + along[:, None] * path[:, None, :]
    absorption = np.array([0, *(shape.tissue.absorption for shape in body.shapes)])
    mean: Vector = absorption[body.topmost(points) + 1].clip(0).mean(axis=1)
    return mean * np.linalg.norm(path, axis=1) / 10


def locate(lesion: Lesion, body: Body, plan: ScanPlan) -> LesionLocation:
    """Return where a lesion lies in a planned scan, and whether the scan shows it."""
    grid = plan.grid
    centre = grid.to_voxels(lesion.shape.centre_mm)
    radii = lesion.shape.half_extents_mm(grid.axes) / grid.spacing_mm
    if plan.protocol.modality is Modality.XRAY:
        centre[0], radii[0] = 0, 0.5
    location = LesionLocation(
        lesion.disorder.name,
        (float(centre[0]), float(centre[1]), float(centre[2])),
        (float(radii[0]), float(radii[1]), float(radii[2])),
        visible=True,
    )
    visible = plan.protocol.shows(lesion.shape.tissue, lesion.disorder.site.host)
    if visible:
        covered = location.mask(grid.shape)
        if plan.protocol.modality is Modality.ULTRASOUND:
            covered &= seen_by_sector(*grid.shape[1:])
            skin = lesion.shape.centre_mm - grid.axes[1] * grid.spacing_mm[1] * centre[1]
            loss = absorption_before(body, skin[None], lesion.shape.centre_mm)[0]
            visible = bool(loss < _MAX_ABSORPTION)
        visible = visible and bool(covered.any())
    return LesionLocation(location.disorder, location.centre, location.radii, visible)
