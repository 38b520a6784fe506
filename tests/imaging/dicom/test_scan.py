"""How slices become volumes: order, spacing, gaps, repetitions, orientations, time."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import uid

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Modality, Plane
from tests.fixtures.dicom_files import (
    CORONAL,
    SAGITTAL,
    numbered_slices,
    write_dicom,
    write_series,
)


def decisions_of(scan: Scan) -> dict[str, dict[str, object]]:
    return {each["kind"]: each for each in scan.provenance["decisions"]}


def test_slices_are_sorted_along_their_normal(tmp_path: Path) -> None:
    slices = numbered_slices(4)
    write_series(tmp_path, slices, heights=[15, 0, 10, 5])

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, slices[[1, 3, 2, 0]])
    assert scan.volume.dtype == np.float32
    assert scan.spacing_mm == (5.0, 0.5, 0.5)
    assert scan.modality is Modality.CT
    assert scan.plane is Plane.AXIAL
    assert not scan.is_picture
    assert scan.provenance["decisions"] == []


@pytest.mark.parametrize(
    ("orientation", "axis", "plane"),
    [(SAGITTAL, 0, Plane.SAGITTAL), (CORONAL, 1, Plane.CORONAL)],
)
def test_the_plane_follows_from_the_orientation(
    tmp_path: Path, orientation: tuple[float, ...], axis: int, plane: Plane
) -> None:
    slices = numbered_slices(3)
    for number, pixels in enumerate(slices):
        position = [0.0, 0.0, 0.0]
        position[axis] = 4.0 * number
        write_dicom(
            tmp_path / f"{number}.dcm",
            pixels,
            ImageOrientationPatient=list(orientation),
            ImagePositionPatient=position,
        )

    scan = read_scan(tmp_path)

    assert scan.plane is plane
    assert scan.spacing_mm[0] == 4.0
    # The normal of a sagittal slice shown face to the left points to the right.
    expected = slices[::-1] if plane is Plane.SAGITTAL else slices
    assert np.array_equal(scan.volume, expected)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**16))
def test_file_names_and_their_order_never_change_the_volume(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "named"
    if not folder.exists():
        write_series(folder, numbered_slices(5), heights=[3, 1, 4, 0, 2])
    shuffled = tmp_path / f"shuffled-{seed}"
    generator = random.Random(seed)
    paths = sorted(folder.iterdir())
    names = [f"{generator.getrandbits(64):x}" for _ in paths]
    generator.shuffle(paths)
    for path, name in zip(paths, names, strict=True):
        target = shuffled / generator.choice(["", "a", "b/c"]) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)

    expected, found = read_scan(folder), read_scan(shuffled)

    assert np.array_equal(found.volume, expected.volume)
    assert found.scan_id == expected.scan_id
    assert found.provenance["decisions"] == expected.provenance["decisions"]


def test_a_missing_slice_is_reported_and_none_is_invented(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(5), heights=[0, 5, 10, 25, 30])

    scan = read_scan(tmp_path)

    assert len(scan.volume) == 5
    assert scan.spacing_mm[0] == 5.0
    gap = decisions_of(scan)["missing_slices"]
    assert gap["num_missing"] == 2
    assert gap["after_slices"] == [2]


def test_uneven_spacing_is_reported(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(4), heights=[0, 5, 9, 14])

    spacing = decisions_of(read_scan(tmp_path))["non_uniform_spacing"]

    assert (spacing["least_mm"], spacing["most_mm"]) == (4.0, 5.0)


def test_a_tilted_gantry_is_reported_with_the_distance_between_planes(tmp_path: Path) -> None:
    tilt = np.radians(20)
    orientation = [1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt))]
    slices = numbered_slices(3)
    for number, pixels in enumerate(slices):
        write_dicom(
            tmp_path / f"{number}",
            pixels,
            ImageOrientationPatient=orientation,
            ImagePositionPatient=[0.0, 0.0, 5.0 * number],
        )

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, slices)
    assert decisions_of(scan)["gantry_tilt"]["degrees"] == 20.0
    assert scan.spacing_mm[0] == pytest.approx(5 * np.cos(tilt))
    assert scan.plane is Plane.AXIAL


def test_two_slices_are_a_volume(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(2))
    assert read_scan(tmp_path).volume.shape == (2, 8, 8)


def test_two_orientations_in_one_series_are_two_scans(tmp_path: Path) -> None:
    axial, sagittal = numbered_slices(3), numbered_slices(4) + 1000
    write_series(tmp_path / "a", axial)
    for number, pixels in enumerate(sagittal):
        write_dicom(
            tmp_path / "b" / f"{number}",
            pixels,
            ImageOrientationPatient=list(SAGITTAL),
            ImagePositionPatient=[-3.0 * number, 0.0, 0.0],
        )

    reading = read_scans(tmp_path)

    volumes = {scan.plane: scan.volume for scan in reading.scans}
    assert np.array_equal(volumes[Plane.AXIAL], axial)
    assert np.array_equal(volumes[Plane.SAGITTAL], sagittal)
    assert len({scan.scan_id for scan in reading.scans}) == 2
    with pytest.raises(ScanReadError, match="2 scans") as caught:
        read_scan(tmp_path)
    assert caught.value.reason is ScanReadReason.INCONSISTENT_SERIES


def test_rotating_projections_are_one_clip(tmp_path: Path) -> None:
    slices = numbered_slices(5)
    for number, pixels in enumerate(slices):
        angle = np.radians(15 * number)
        write_dicom(
            tmp_path / f"{9 - number}",
            pixels,
            Modality="MR",
            SOPClassUID=uid.MRImageStorage,
            InstanceNumber=number + 1,
            ImageOrientationPatient=[float(np.cos(angle)), float(np.sin(angle)), 0, 0, 0, -1],
        )

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, slices)
    assert decisions_of(scan)["changing_view"]["num_views"] == 5


def test_the_same_instance_twice_is_read_once(tmp_path: Path) -> None:
    paths = write_series(tmp_path, numbered_slices(3))
    shutil.copy(paths[1], tmp_path / "copy of slice.dcm")

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, numbered_slices(3))
    assert decisions_of(scan)["duplicate_instances"]["num_dropped"] == 1


def test_equal_slices_at_one_position_are_read_once(tmp_path: Path) -> None:
    slices = numbered_slices(3)
    write_series(tmp_path / "first", slices)
    write_dicom(
        tmp_path / "again.dcm", slices[1], ImagePositionPatient=[0, 0, 5.0], InstanceNumber=9
    )

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, slices)
    assert decisions_of(scan)["duplicate_positions"]["num_dropped"] == 1


def test_echoes_of_one_series_are_scans_of_their_own(tmp_path: Path) -> None:
    slices = numbered_slices(3)
    for echo_time in (80.0, 9.0):
        write_series(
            tmp_path / str(echo_time),
            slices + int(echo_time),
            Modality="MR",
            SOPClassUID=uid.MRImageStorage,
            EchoTime=echo_time,
        )

    first, second = read_scans(tmp_path).scans

    assert np.array_equal(first.volume, slices + 9)
    assert np.array_equal(second.volume, slices + 80)
    split = decisions_of(first)["split_series"]
    assert split == {"kind": "split_series", "by": ["EchoTime"], "num_scans": 2}


def test_phases_that_cover_different_heights_are_told_apart(tmp_path: Path) -> None:
    arterial, venous = numbered_slices(3), numbered_slices(5) + 1000
    write_series(tmp_path / "a", arterial, heights=[5, 10, 15], AcquisitionNumber=1)
    write_series(tmp_path / "v", venous, AcquisitionNumber=2)

    first, second = read_scans(tmp_path).scans

    assert np.array_equal(first.volume, arterial)
    assert np.array_equal(second.volume, venous)


def test_a_series_over_time_is_refused_with_the_number_of_volumes(tmp_path: Path) -> None:
    for time in range(20):
        write_series(
            tmp_path / str(time), numbered_slices(2) + time, TemporalPositionIdentifier=time + 1
        )

    with pytest.raises(ScanReadError, match="20 slices at one position") as caught:
        read_scan(tmp_path)
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


def test_a_cine_of_one_slice_is_a_clip_in_the_order_of_time(tmp_path: Path) -> None:
    frames = numbered_slices(6)
    for number, pixels in enumerate(frames):
        write_dicom(
            tmp_path / f"{number}.dcm",
            pixels,
            Modality="MR",
            SOPClassUID=uid.MRImageStorage,
            TriggerTime=float(100 * (6 - number)),
        )

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, frames[::-1])
    assert decisions_of(scan)["clip"]["ordered_by"] == "TriggerTime"
    assert np.isnan(scan.spacing_mm[0])


def test_slices_without_positions_go_by_their_number(tmp_path: Path) -> None:
    slices = numbered_slices(3)
    for number, pixels in enumerate(slices):
        write_dicom(
            tmp_path / f"{9 - number}.dcm",
            pixels,
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
            SliceThickness=3.0,
            InstanceNumber=number + 1,
        )

    scan = read_scan(tmp_path)

    assert np.array_equal(scan.volume, slices)
    assert scan.spacing_mm == (3.0, 0.5, 0.5)
    assert scan.plane is Plane.UNKNOWN
    ordered = decisions_of(scan)["ordered_without_positions"]
    assert ordered["ordered_by"] == "InstanceNumber"


def test_slices_without_position_and_number_are_refused(tmp_path: Path) -> None:
    for number, pixels in enumerate(numbered_slices(3)):
        write_dicom(
            tmp_path / f"{number}.dcm",
            pixels,
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
            InstanceNumber=None,
        )

    with pytest.raises(ScanReadError, match="without distinct") as caught:
        read_scan(tmp_path)
    assert caught.value.reason is ScanReadReason.INCONSISTENT_SERIES


def test_a_malformed_orientation_counts_as_none(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", numbered_slices(1)[0], ImageOrientationPatient=[0.0] * 6)

    scan = read_scan(tmp_path)

    assert scan.plane is Plane.UNKNOWN
    assert decisions_of(scan)["unusable_tags"]["keywords"] == ["ImageOrientationPatient"]


def test_each_radiograph_of_a_series_is_a_scan(tmp_path: Path) -> None:
    for number, view in enumerate(("PA", "LL")):
        write_dicom(
            tmp_path / f"{number}.dcm",
            numbered_slices(2)[number],
            Modality="DX",
            SOPClassUID=uid.DigitalXRayImageStorageForPresentation,
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
            ViewPosition=view,
            BodyPartExamined="CHEST",
            InstanceNumber=number + 1,
        )

    frontal, lateral = read_scans(tmp_path).scans

    assert (frontal.plane, lateral.plane) == (Plane.FRONTAL, Plane.LATERAL)
    assert frontal.is_picture
    assert lateral.is_picture


def test_an_unreadable_slice_is_left_out_and_reported(tmp_path: Path) -> None:
    slices = numbered_slices(4)
    paths = write_series(tmp_path, slices)
    paths[2].write_bytes(paths[2].read_bytes()[:-40])

    reading = read_scans(tmp_path)

    (scan,) = reading.scans
    assert np.array_equal(scan.volume, slices[[0, 1, 3]])
    assert decisions_of(scan)["unreadable_slices"]["num_lost"] == 1
    assert [(each.path, each.reason) for each in reading.rejected] == [
        (paths[2], ScanReadReason.CORRUPT)
    ]
