"""Scan plans of a phantom body: which scans look at it, where, with how many slices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raddiag_hf.phantoms.body import Body
from raddiag_hf.phantoms.disorders import SIZES
from raddiag_hf.phantoms.lesions import Lesion, locate
from raddiag_hf.phantoms.protocols import PROTOCOLS, ScanProtocol
from raddiag_hf.phantoms.rendering import ScanPlan
from raddiag_hf.phantoms.shapes import PLANE_AXES, Grid, Shape, Vector
from raddiag_hf.phantoms.ultrasound import brightness_lost
from raddiag_hf.vocabulary import Anatomy, Modality

MIN_SLICES = 6

_SCAN_COUNTS = (0.2, 0.25, 0.25, 0.15, 0.1, 0.05)
_NUM_PROBE_PLACES = 24
_MAX_OFF_CENTRE = 0.36
"""How far a scan's target may lie from its middle, as a share of its field of view."""


@dataclass(frozen=True)
class ScanSize:
    """How many voxels scans have.

    Attributes:
        image_size: Height and width.
        max_slices: Most slices of a stack or frames of a sweep.
    """

    image_size: int
    max_slices: int


def plan_scans(
    body: Body,
    anatomy: Anatomy,
    lesions: Sequence[Lesion],
    size: ScanSize,
    seed: tuple[int, ...],
    generator: np.random.Generator,
) -> list[ScanPlan]:
    """Plan a scan that shows each lesion, then others of the region up to a random number.

    Args:
        body: The patient as posed.
        anatomy: The region.
        lesions: What at least one scan each has to show.
        size: How many voxels scans have.
        seed: Start of the seeds of the scans' noise.
        generator: Of all choices.

    Returns:
        1 to 6 plans in random order.
    """
    wanted = 1 + int(generator.choice(len(_SCAN_COUNTS), p=_SCAN_COUNTS))
    protocols = PROTOCOLS[anatomy]
    frequencies = np.array([protocol.frequency for protocol in protocols])
    order = generator.choice(
        len(protocols), len(protocols), replace=False, p=frequencies / frequencies.sum()
    )
    unused = [protocols[number] for number in order]
    plans: list[ScanPlan] = []

    def plan(protocol: ScanProtocol, target_mm: Vector) -> ScanPlan:
        return plan_scan(protocol, body, target_mm, size, (*seed, len(plans)), generator)

    for lesion in lesions:
        if any(locate(lesion, body, made).visible for made in plans):
            continue
        # The others of its case may have used up the few protocols that show it.
        for protocol in (*unused, *protocols):
            candidate = plan(protocol, lesion.shape.centre_mm)
            if locate(lesion, body, candidate).visible:
                plans.append(candidate)
                unused = [other for other in unused if other is not protocol]
                break
    targets = [lesion.shape.centre_mm for lesion in lesions] or [
        shape.centre_mm for shape in body.sites.values()
    ]
    for protocol in unused[: max(wanted - len(plans), 0)]:
        plans.append(plan(protocol, targets[generator.integers(len(targets))]))
    return [plans[i] for i in generator.permutation(len(plans))]


def plan_scan(
    protocol: ScanProtocol,
    body: Body,
    target_mm: Vector,
    size: ScanSize,
    seed: tuple[int, ...],
    generator: np.random.Generator,
) -> ScanPlan:
    """Draw how a scan of one protocol is made of a body so that it covers ``target_mm``."""
    noise = float(generator.random())
    if protocol.modality is Modality.ULTRASOUND:
        grid = _plan_sweep(protocol, body, target_mm, size, generator)
        return ScanPlan(protocol, grid, noise, seed)
    axes = PLANE_AXES[protocol.plane]
    across_mm = body.field_of_view_mm * generator.uniform(0.95, 1.12)
    # Of the scan's middle, along depth, height and width; the body lies around the world's origin.
    middle = generator.normal(0, 0.015, 3) * body.field_of_view_mm
    target = axes @ target_mm
    reach = _MAX_OFF_CENTRE * across_mm
    middle = target - (target - middle).clip(-reach, reach)
    slices, step_mm = _draw_slices(body, size, generator)
    if protocol.modality is Modality.XRAY:
        slices, middle[0] = 1, 0
    else:
        middle[0] = target[0] + _draw_miss(slices, step_mm, generator)
    pixel_mm = across_mm / size.image_size
    grid = Grid.centred(
        middle @ axes,
        axes,
        np.array([step_mm, pixel_mm, pixel_mm]),
        (slices, size.image_size, size.image_size),
    )
    return ScanPlan(protocol, grid, noise, seed)


def _draw_slices(body: Body, size: ScanSize, generator: np.random.Generator) -> tuple[int, float]:
    """Return the number of slices and their distance: even a small lesion meets one of them."""
    slices = int(generator.integers(MIN_SLICES, size.max_slices + 1))
    smallest = SIZES["small"][0] * body.field_of_view_mm
    return slices, float(generator.uniform(0.6, 1.1) * smallest)


def _draw_miss(slices: int, step_mm: float, generator: np.random.Generator) -> float:
    """Return how far a stack's middle lies from its target, which stays within the stack."""
    return float(generator.uniform(-0.5, 0.5) * (slices - 2) * step_mm)


def _plan_sweep(
    protocol: ScanProtocol,
    body: Body,
    target_mm: Vector,
    size: ScanSize,
    generator: np.random.Generator,
) -> Grid:
    """Put the probe where least bone and gas lie before the target, as a sonographer does."""
    sideways = np.sign(target_mm[0]) * generator.uniform(0.1, 1.6, _NUM_PROBE_PLACES)
    towards_head = generator.normal(0, 0.2, _NUM_PROBE_PLACES)
    into_body = np.stack([-sideways, np.ones(_NUM_PROBE_PLACES), -towards_head], axis=1)
    into_body /= np.linalg.norm(into_body, axis=1, keepdims=True)
    distances = np.array([_to_surface(body.shapes[0], target_mm, -row) for row in into_body])
    skins = target_mm - into_body * distances[:, None]
    chosen = int((brightness_lost(body, skins, target_mm) + distances / 1000).argmin())

    down, distance = into_body[chosen], distances[chosen]
    towards_feet = np.array([0, 0, -1]) + down * down[2]
    towards_feet /= np.linalg.norm(towards_feet)
    aside = np.cross(towards_feet, down)
    if protocol.sequence == "longitudinal":
        axes = np.stack([aside, down, towards_feet])
    else:
        axes = np.stack([towards_feet, down, -aside])
    frames, step_mm = _draw_slices(body, size, generator)
    depth_mm = max(distance * generator.uniform(1.5, 1.9), 0.35 * body.field_of_view_mm)
    pixel_mm = depth_mm / size.image_size
    off_centre = generator.normal(0, 0.03) * depth_mm
    origin = (
        skins[chosen]
        - axes[2] * (pixel_mm * (size.image_size - 1) / 2 + off_centre)
        - axes[0] * (step_mm * (frames - 1) / 2 + _draw_miss(frames, step_mm, generator))
    )
    shape = (frames, size.image_size, size.image_size)
    return Grid(origin, axes, np.array([step_mm, pixel_mm, pixel_mm]), shape)


def _to_surface(outline: Shape, point_mm: Vector, direction: Vector) -> float:
    """Return how far along a direction a point inside an ellipsoid is from its surface."""
    start = (point_mm - outline.centre_mm) @ outline.rotation / outline.radii_mm
    step = direction @ outline.rotation / outline.radii_mm
    half_b, a, c = float(start @ step), float(step @ step), float(start @ start) - 1
    return (max(half_b**2 - a * c, 0) ** 0.5 - half_b) / a
