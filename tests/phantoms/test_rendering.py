"""What a lesion does to a scan: a change in its place, in the modalities that show it, only."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from raddiag_hf.phantoms.body import Body, draw_body
from raddiag_hf.phantoms.cases import REGIONS
from raddiag_hf.phantoms.disorders import PhantomDisorder, phantom_disorders
from raddiag_hf.phantoms.lesions import Lesion, locate, place_lesion, shown_shapes
from raddiag_hf.phantoms.planning import ScanSize, plan_scan
from raddiag_hf.phantoms.protocols import PROTOCOLS, ScanProtocol
from raddiag_hf.phantoms.rendering import ScanPlan, render
from raddiag_hf.phantoms.shapes import (
    PLANE_AXES,
    Grid,
    Shape,
    Stencil,
    paint,
    sample_texture,
)
from raddiag_hf.phantoms.tissue import CALCIFIED_NODULE, FLUID
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Sex

IMAGE_SIZE = 48
SIZE = ScanSize(IMAGE_SIZE, max_slices=8)
DISORDERS_AND_PROTOCOLS = [
    pytest.param(disorder, protocol, id=f"{disorder.name}-{protocol.plane}-{protocol.sequence}")
    for disorder in phantom_disorders()[::2]
    for protocol in PROTOCOLS[disorder.site.anatomy]
]


def make_body(anatomy: Anatomy, seed: int = 0) -> Body:
    return draw_body(REGIONS[anatomy], Sex.FEMALE, np.random.default_rng(seed))


def make_plan(
    disorder: PhantomDisorder, protocol: ScanProtocol, seed: int = 0
) -> tuple[Body, Lesion, ScanPlan]:
    generator = np.random.default_rng(seed)
    body = make_body(disorder.site.anatomy, seed)
    lesion = place_lesion(disorder, body, [], generator)
    target = lesion.shape.centre_mm
    plan = plan_scan(protocol, body, target, SIZE, (seed,), generator)
    return body, lesion, plan


def change_by_lesion(
    body: Body, lesion: Lesion, plan: ScanPlan
) -> tuple[NDArray[np.float32], float]:
    """The change of every voxel, and the range of the scan."""
    without = render(body, [], plan)
    change = np.abs(render(body, shown_shapes([lesion], plan), plan) - without)
    return change, float(np.ptp(without))


@pytest.mark.parametrize(("disorder", "protocol"), DISORDERS_AND_PROTOCOLS)
def test_lesion_changes_a_scan_if_and_only_if_it_is_visible(
    disorder: PhantomDisorder, protocol: ScanProtocol
) -> None:
    body, lesion, plan = make_plan(disorder, protocol)
    location = locate(lesion, body, plan)
    change, full_range = change_by_lesion(body, lesion, plan)
    if location.visible:
        assert protocol.modality in disorder.visible_in
        inside = change[location.mask(change.shape)]
        assert inside.mean() > 0.015 * full_range
    elif not protocol.shows(lesion.shape.tissue, disorder.site.host):
        assert not change.any()


@pytest.mark.parametrize("protocol", [p for ps in PROTOCOLS.values() for p in ps])
def test_lesion_changes_nothing_away_from_its_place(protocol: ScanProtocol) -> None:
    disorder = next(
        disorder
        for disorder in phantom_disorders()
        if protocol in PROTOCOLS[disorder.site.anatomy] and disorder.kind is CALCIFIED_NODULE
    )
    body, lesion, plan = make_plan(disorder, protocol)
    location = locate(lesion, body, plan)
    # Rough outlines, partial voxels and the edge enhancement of radiographs reach a little further.
    reach = 6 if protocol.modality is Modality.XRAY else 2
    grown = replace(
        location,
        radii=(location.radii[0] + 1, location.radii[1] + reach, location.radii[2] + reach),
    )
    change, full_range = change_by_lesion(body, lesion, plan)
    place = grown.mask(change.shape)
    if protocol.modality is Modality.ULTRASOUND:
        # Its shadow falls on what lies behind.
        place = np.maximum.accumulate(binary_dilation(place, np.ones((1, 3, 9))), axis=1)
        for _ in range(3):
            place = np.maximum.accumulate(binary_dilation(place, np.ones((1, 1, 9))), axis=1)
    assert change[~place].max() <= 0.01 * full_range


def test_calcified_nodule_casts_an_acoustic_shadow() -> None:
    disorder = next(
        d for d in phantom_disorders() if d.name == "Large calcified nodule of the liver"
    )
    protocol = next(p for p in PROTOCOLS[disorder.site.anatomy] if p.sequence == "longitudinal")
    body, lesion, plan = make_plan(disorder, protocol)
    volume = render(body, shown_shapes([lesion], plan), plan)
    z, y, x = (round(index) for index in locate(lesion, body, plan).centre)
    below = round(y + locate(lesion, body, plan).radii[1])
    without = render(body, [], plan)
    behind = (slice(z, z + 1), slice(below + 2, below + 8), slice(x - 2, x + 3))
    assert volume[behind].mean() < 0.3 * without[behind].mean()


def test_radiograph_is_the_projection_of_the_ct() -> None:
    """The column sums of a CT's attenuation rank the radiograph's pixels."""
    body = make_body(Anatomy.CHEST)
    frontal, _, ct, *_ = PROTOCOLS[Anatomy.CHEST]
    axes = PLANE_AXES[Plane.CORONAL]
    step = 340 / IMAGE_SIZE
    stack = Grid.centred(np.zeros(3), axes, np.array([5, step, step]), (70, IMAGE_SIZE, IMAGE_SIZE))
    flat = Grid.centred(np.zeros(3), axes, np.array([1, step, step]), (1, IMAGE_SIZE, IMAGE_SIZE))
    wide = replace(ct, display=(-1024, 3000))
    volume = render(body, [], ScanPlan(wide, stack, 0.0, (0,)))
    radiograph = render(body, [], ScanPlan(frontal, flat, 0.0, (0,)))
    integral = (1 + volume / 1000).clip(0).sum(axis=0).ravel()
    assert np.corrcoef(np.log1p(integral), np.log1p(radiograph.ravel()))[0, 1] > 0.9


def test_left_of_the_patient_is_right_in_axial_and_frontal_images() -> None:
    body = make_body(Anatomy.CHEST)
    for protocol in PROTOCOLS[Anatomy.CHEST]:
        if protocol.plane in (Plane.SAGITTAL, Plane.LATERAL):
            continue
        generator = np.random.default_rng(0)
        plan = plan_scan(protocol, body, np.zeros(3), SIZE, (0,), generator)
        left = plan.grid.to_voxels(body.sites["left lung"].centre_mm)
        right = plan.grid.to_voxels(body.sites["right lung"].centre_mm)
        assert left[2] > right[2] + 10


def test_partial_voxels_keep_the_volume_of_an_ellipsoid() -> None:
    radii = np.array([20.0, 14.0, 17.0])
    shape = Shape(FLUID, np.array([1.3, -2.1, 0.4]), radii, np.eye(3))
    grid = Grid.centred(np.zeros(3), PLANE_AXES[Plane.AXIAL], np.full(3, 2.0), (40, 40, 40))
    (painted,) = paint([shape], grid, np.zeros((2, *grid.shape), np.float32), [[0, 1]])
    assert painted.sum() * 8 == pytest.approx(4 / 3 * np.pi * radii.prod(), rel=0.02)


def test_painting_agrees_with_geometry() -> None:
    body = make_body(Anatomy.ABDOMEN_AND_PELVIS)
    grid = Grid.centred(np.zeros(3), PLANE_AXES[Plane.CORONAL], np.array([9.0, 5, 5]), (8, 60, 60))
    solid = [shape for shape in body.shapes if shape.stencil is Stencil.SOLID]
    channel = [-1.0, *(float(i) for i in range(len(solid)))]
    (painted,) = paint(solid, grid, sample_texture(body.texture, grid), [channel])
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    points = grid.origin_mm + (index * grid.spacing_mm) @ grid.axes
    agreeing = np.abs(painted - body.topmost(points)) < 1e-3
    # They differ where a surface cuts a voxel.
    assert agreeing.mean() > 0.7


def test_texture_moves_with_the_body() -> None:
    body = make_body(Anatomy.CHEST)
    shift = np.array([10.0, -5.0, 20.0])
    grid = Grid.centred(np.zeros(3), PLANE_AXES[Plane.AXIAL], np.full(3, 5.0), (4, 8, 8))
    moved = replace(grid, origin_mm=grid.origin_mm + shift)
    np.testing.assert_allclose(
        sample_texture(body.posed(np.eye(3), shift).texture, moved),
        sample_texture(body.texture, grid),
        atol=1e-3,
    )


def test_lesions_lie_in_the_tissue_of_their_site() -> None:
    for disorder in phantom_disorders():
        body = make_body(disorder.site.anatomy)
        lesion = place_lesion(disorder, body, [], np.random.default_rng(1))
        topmost = body.topmost(lesion.shape.centre_mm)
        assert body.shapes[int(topmost)].tissue == disorder.site.host


def test_mirrored_knees_have_their_fibula_on_either_side() -> None:
    sides = {
        np.sign(min(make_body(Anatomy.LOWER_LIMB, seed).shapes, key=fibula_likeness).centre_mm[0])
        for seed in range(8)
    }
    assert sides == {-1, 1}


def fibula_likeness(shape: Shape) -> float:
    return abs(abs(shape.centre_mm[0]) - 40) + abs(shape.radii_mm[0] - 7)
