"""Phantom cases: drawn alike anywhere, long-tailed, consistent between body, scans and labels."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf.phantoms import cases as phantoms
from raddiag_hf.phantoms.cases import (
    NORMAL,
    PhantomCase,
    PhantomDisorder,
    draw_case,
    draw_cases,
    phantom_disorders,
)
from raddiag_hf.vocabulary import Modality, Plane

NUM_CASES = 60


@cache
def cases() -> tuple[PhantomCase, ...]:
    return tuple(draw_cases(7, NUM_CASES, image_size=48))


@pytest.fixture
def without_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw cases whose scans are empty, for what does not depend on them."""
    nothing = np.zeros((1, 1, 1), np.float32)
    monkeypatch.setattr(phantoms, "render", lambda *_: nothing)


def disorder_named(name: str) -> PhantomDisorder:
    return next(disorder for disorder in phantom_disorders() if disorder.name == name)


def same(one: PhantomCase, other: PhantomCase) -> bool:
    records = [
        (
            case.case_id,
            case.patient_id,
            case.age,
            case.sex,
            case.anatomy,
            case.disorders,
            case.sequences,
            case.origins_mm,
            case.key_slices,
            case.lesions,
            [(s.volume.tobytes(), s.volume.shape, s.modality, s.plane) for s in case.scans],
        )
        for case in (one, other)
    ]
    return records[0] == records[1]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), index=st.integers(0, 10**6))
def test_the_same_seed_and_index_give_the_same_bytes(seed: int, index: int) -> None:
    assert same(draw_case(seed, index, image_size=32), draw_case(seed, index, image_size=32))


def test_cases_do_not_depend_on_the_order_in_which_they_are_drawn() -> None:
    backwards = [draw_case(7, index, image_size=48) for index in reversed(range(6))]
    assert all(same(one, other) for one, other in zip(reversed(backwards), cases(), strict=False))


def test_different_seeds_give_different_patients() -> None:
    one, other = draw_case(1, 0, image_size=32), draw_case(2, 0, image_size=32)
    assert one.patient_id != other.patient_id
    assert not np.array_equal(one.scans[0].volume, other.scans[0].volume)


@pytest.mark.usefixtures("without_pixels")
def test_one_patient_in_ten_has_two_cases() -> None:
    per_patient = Counter(case.patient_id for case in draw_cases(0, 55))
    assert Counter(per_patient.values()) == {1: 45, 2: 5}


def test_two_cases_of_a_patient_agree_on_the_patient() -> None:
    first, second = cases()[9], cases()[10]
    assert first.patient_id == second.patient_id
    assert (first.anatomy, first.sex, first.age) == (second.anatomy, second.sex, second.age)


def test_case_ids_are_unique() -> None:
    assert len({case.case_id for case in cases()}) == NUM_CASES


def test_names_compose_size_kind_and_site() -> None:
    for disorder in phantom_disorders():
        expected = f"{disorder.size} {disorder.kind.name} of the {disorder.site.name}"
        assert disorder.name.lower() == expected


def test_names_are_unique_and_none_is_normal() -> None:
    names = [disorder.name for disorder in phantom_disorders()]
    assert len(set(names)) == len(names) >= 60
    assert NORMAL not in names


def test_every_word_of_a_rare_name_occurs_in_frequent_ones() -> None:
    disorders = phantom_disorders()
    head, tail = disorders[:12], disorders[12:]
    for part in ("site", "kind", "size"):
        assert {getattr(d, part) for d in tail} <= {getattr(d, part) for d in head}


@pytest.mark.parametrize(
    ("name", "modalities"),
    [
        ("Small edema of the femur", {Modality.MRI}),
        ("Large edema of the left cerebral hemisphere", {Modality.MRI}),
        ("Small calcified nodule of the femur", {Modality.CT, Modality.XRAY}),
        (
            "Large calcified nodule of the left kidney",
            {Modality.CT, Modality.XRAY, Modality.ULTRASOUND},
        ),
        ("Small cyst of the liver", {Modality.CT, Modality.MRI, Modality.ULTRASOUND}),
        ("Small solid tumor of the left kidney", {Modality.MRI, Modality.ULTRASOUND}),
        ("Small solid tumor of the right lung", {Modality.CT, Modality.MRI, Modality.XRAY}),
    ],
)
def test_disorders_show_where_their_tissue_differs(name: str, modalities: set[Modality]) -> None:
    assert disorder_named(name).visible_in == modalities


@pytest.mark.usefixtures("without_pixels")
def test_labels_are_long_tailed() -> None:
    drawn = Counter(name for case in draw_cases(3, 400) for name in case.disorders)
    counts = [drawn[disorder.name] for disorder in phantom_disorders()]
    third = len(counts) // 3
    assert 0.15 < drawn[NORMAL] / 400 < 0.25
    assert sum(counts[:8]) > sum(counts[third:])
    assert sum(count <= 2 for count in counts[third:]) > third / 2
    assert counts[0] > 20 * np.median(counts[2 * third :])


def test_cases_have_one_to_three_disorders_of_one_anatomy() -> None:
    numbers = set()
    for case in cases():
        if case.disorders != (NORMAL,):
            numbers.add(len(case.disorders))
            assert {disorder_named(name).site.anatomy for name in case.disorders} == {case.anatomy}
            assert len(set(case.disorders)) == len(case.disorders)
    assert numbers == {1, 2, 3}


def test_cases_have_one_to_six_scans_of_mixed_modalities() -> None:
    assert {len(case.scans) for case in cases()} <= set(range(1, 7))
    assert sum(len({scan.modality for scan in case.scans}) > 1 for case in cases()) > NUM_CASES / 3


def test_volumes_are_finite_whole_numbers_that_are_not_constant() -> None:
    for case in cases():
        for scan in case.scans:
            assert scan.volume.dtype == np.float32
            depth, *in_plane = scan.volume.shape
            assert in_plane == [48, 48]
            assert depth == 1 if scan.modality is Modality.XRAY else 6 <= depth <= 16
            assert np.isfinite(scan.volume).all()
            assert np.array_equal(scan.volume, np.rint(scan.volume))
            assert np.ptp(scan.volume) > 50


def test_every_disorder_shows_in_at_least_one_scan_of_a_modality_that_can_show_it() -> None:
    for case in cases():
        for number, name in enumerate(n for n in case.disorders if n != NORMAL):
            showing = {
                scan.modality
                for scan, lesions in zip(case.scans, case.lesions, strict=True)
                if lesions[number].visible
            }
            assert showing
            assert showing <= disorder_named(name).visible_in


def test_key_slice_cuts_the_first_visible_lesion() -> None:
    for case in cases():
        for scan, key_slice, lesions in zip(case.scans, case.key_slices, case.lesions, strict=True):
            visible = [lesion for lesion in lesions if lesion.visible]
            if not visible:
                assert key_slice == -1
                continue
            assert abs(key_slice - np.clip(visible[0].centre[0], 0, len(scan.volume) - 1)) <= 0.5
            assert visible[0].mask(scan.volume.shape)[key_slice].any()


def test_normal_cases_have_neither_lesion_nor_key_slice() -> None:
    normal = [case for case in cases() if case.disorders == (NORMAL,)]
    assert normal
    for case in normal:
        assert set(case.key_slices) == {-1}
        assert not any(case.lesions)


def world_position(case: PhantomCase, scan_index: int, lesion_index: int) -> dict[str, float]:
    """The world coordinates of a lesion that one scan knows; a radiograph knows two."""
    scan = case.scans[scan_index]
    z, y, x = case.lesions[scan_index][lesion_index].centre
    right, back, head = case.origins_mm[scan_index]
    step_z, step_y, step_x = scan.spacing_mm
    match scan.plane:
        case Plane.AXIAL:
            return {"x": right + x * step_x, "y": back + y * step_y, "z": head + z * step_z}
        case Plane.CORONAL:
            return {"x": right + x * step_x, "y": back + z * step_z, "z": head - y * step_y}
        case Plane.SAGITTAL:
            return {"x": right - z * step_z, "y": back + x * step_x, "z": head - y * step_y}
        case Plane.FRONTAL:
            return {"x": right + x * step_x, "z": head - y * step_y}
        case Plane.LATERAL:
            return {"y": back + x * step_x, "z": head - y * step_y}
    return {}


def test_all_scans_of_a_case_agree_on_where_a_lesion_lies() -> None:
    compared: set[tuple[Plane, Plane]] = set()
    for case in cases():
        for lesion_index in range(len(case.lesions[0])):
            known = [world_position(case, i, lesion_index) for i in range(len(case.scans))]
            for one, scan in zip(known, case.scans, strict=True):
                for other, other_scan in zip(known, case.scans, strict=True):
                    for axis in one.keys() & other.keys():
                        assert one[axis] == pytest.approx(other[axis], abs=1e-3)
                        compared.add((scan.plane, other_scan.plane))
    assert (Plane.FRONTAL, Plane.AXIAL) in compared
    assert (Plane.SAGITTAL, Plane.AXIAL) in compared


@pytest.mark.usefixtures("without_pixels")
def test_only_the_given_disorders_occur() -> None:
    few = phantom_disorders()[:5]
    drawn = {name for case in draw_cases(0, 40, disorders=few) for name in case.disorders}
    assert drawn <= {NORMAL, *(disorder.name for disorder in few)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1, "index": 0}, "seed and index must not be negative; found -1 and 0"),
        ({"seed": 0, "index": -3}, "found 0 and -3"),
        ({"seed": 0, "index": 0, "image_size": 16}, "image_size must be at least 32; found 16"),
        ({"seed": 0, "index": 0, "max_slices": 3}, "max_slices must be at least 6; found 3"),
        ({"seed": 0, "index": 0, "disorders": ()}, "disorders is empty"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_case(**arguments)
