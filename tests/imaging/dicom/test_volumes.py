"""Volumes of one series told apart: contrasts, directions, phases, packages; slices kept."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import FileDataset

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from tests.fixtures.dicom_files import (
    dicom_dataset,
    functional_groups,
    item,
    numbered_slices,
    write_series,
)

MR = {"Modality": "MR", "SOPClassUID": uid.MRImageStorage}
DEPTH = 5
Edit = Callable[[FileDataset, int], None]


def volumes_of(count: int, depth: int = DEPTH) -> np.ndarray:
    values = np.random.default_rng(7).integers(0, 1000, (count, depth, 8, 8))
    return values.astype(np.int16)


def write_volumes(
    folder: Path, volumes: np.ndarray, edit: Edit, *, slices_first: bool = False, **tags: object
) -> None:
    """Write a series of several volumes; ``edit`` gets each data set and its volume's number."""
    count, depth = volumes.shape[:2]
    folder.mkdir(exist_ok=True)
    for number in range(count):
        for place in range(depth):
            place_in_count = place * count + number if slices_first else number * depth + place
            dataset = dicom_dataset(
                volumes[number, place],
                **{
                    "ImagePositionPatient": [0.0, 0.0, 4.0 * place],
                    "InstanceNumber": place_in_count + 1,
                    **tags,
                },
            )
            edit(dataset, number)
            name = f"{place}-{9 - number}"
            dataset.save_as(folder / name, enforce_file_format=True)


def split_by(scan: Scan) -> list[str]:
    decisions: Any = scan.provenance["decisions"]
    return next(each["by"] for each in decisions if each["kind"] == "split_series")


def decision_of(scan: Scan, kind: str) -> dict[str, Any]:
    decisions: Any = scan.provenance["decisions"]
    return next(each for each in decisions if each["kind"] == kind)


def tag(keyword: str, *values: object) -> Edit:
    def edit(dataset: FileDataset, number: int) -> None:
        if values[number] is not None:
            setattr(dataset, keyword, values[number])

    return edit


def both(*edits: Edit) -> Edit:
    def edit(dataset: FileDataset, number: int) -> None:
        for each in edits:
            each(dataset, number)

    return edit


def private(group: int, creator: str, element: int, kind: str, *values: object) -> Edit:
    def edit(dataset: FileDataset, number: int) -> None:
        if values[number] is not None:
            block = dataset.private_block(group, creator, create=True)
            block.add_new(element, kind, values[number])

    return edit


X, Y, Z, NONE = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]
SIEMENS, PHILIPS_DIRECTION = "SIEMENS MR HEADER", "Philips MR Imaging DD 001"
B_VALUE, DIRECTION = "DiffusionBValue", "DiffusionGradientOrientation"


@pytest.mark.parametrize(
    ("edit", "count", "by"),
    [
        pytest.param(
            both(tag(B_VALUE, 0.0, 800.0, 800.0, 800.0), tag(DIRECTION, None, X, Y, Z)),
            4,
            {DIRECTION},
            id="directions",
        ),
        pytest.param(
            both(
                tag(B_VALUE, 0.0, 800.0, 800.0, 800.0, 800.0),
                tag(DIRECTION, NONE, X, Y, Z, NONE),
            ),
            5,
            {B_VALUE, DIRECTION},
            id="directions and trace",
        ),
        pytest.param(
            private(0x43, "GEMS_PARM_01", 0x39, "IS", [10**9, 8], [10**9 + 50, 8], [10**9 + 800]),
            3,
            {B_VALUE},
            id="GE b-values",
        ),
        pytest.param(
            both(
                private(0x43, "GEMS_PARM_01", 0x39, "IS", [0, 8], [700, 8], [700, 8]),
                *(
                    private(0x19, "GEMS_ACQU_01", 0xBB + axis, "DS", 0, X[axis], Y[axis])
                    for axis in range(3)
                ),
            ),
            3,
            {DIRECTION},
            id="GE directions",
        ),
        pytest.param(
            private(0x19, SIEMENS, 0x0C, "IS", 0, 50, 1000), 3, {B_VALUE}, id="Siemens b-values"
        ),
        pytest.param(
            private(0x19, SIEMENS, 0x0C, "UN", b"0 ", b"50", b"1000"),
            3,
            {B_VALUE},
            id="Siemens b-values of unknown type",
        ),
        pytest.param(
            both(
                private(0x19, SIEMENS, 0x0C, "IS", 0, 1000, 1000, 1000),
                private(0x19, SIEMENS, 0x0E, "FD", None, X, Y, None),
            ),
            4,
            {B_VALUE, DIRECTION},
            id="Siemens directions and trace",
        ),
        pytest.param(
            both(
                private(0x2001, "Philips Imaging DD 001", 0x03, "FL", 0.0, 600.0, 600.0),
                *(
                    private(0x2005, PHILIPS_DIRECTION, 0xB0 + axis, "FL", 0, X[axis], Y[axis])
                    for axis in range(3)
                ),
            ),
            3,
            {DIRECTION},
            id="Philips directions",
        ),
        pytest.param(tag("KVP", 80, 140), 2, {"KVP"}, id="dual energy"),
        pytest.param(
            tag("ImageType", *(["ORIGINAL", "PRIMARY", "M", kind] for kind in ("WATER", "FAT"))),
            2,
            {"ImageType"},
            id="Dixon",
        ),
        pytest.param(
            tag("ComplexImageComponent", "REAL", "IMAGINARY", "MAGNITUDE"),
            3,
            {"ComplexImageComponent"},
            id="complex components",
        ),
        pytest.param(
            private(0x43, "GEMS_PARM_01", 0x2F, "SS", 0, 2, 3),
            3,
            {"(0043,102F)"},
            id="GE complex components",
        ),
        pytest.param(
            both(tag("EchoTime", 9, 9, 80, 80), tag("AcquisitionNumber", 1, 2, 1, 2)),
            4,
            {"EchoTime", "AcquisitionNumber"},
            id="echoes, each twice",
        ),
        pytest.param(
            both(
                tag("EchoTime", 9, 9, 9, 9, 80, 80, 80, 80),
                tag("TemporalPositionIdentifier", 1, 1, 2, 2, 1, 1, 2, 2),
                tag("ComplexImageComponent", *4 * ["REAL", "IMAGINARY"]),
            ),
            8,
            {"EchoTime", "ComplexImageComponent", "TemporalPositionIdentifier"},
            id="three tags together",
        ),
        pytest.param(tag("ContentTime", "101010.5", "101530.5"), 2, {"ContentTime"}, id="time"),
        pytest.param(
            tag("SeriesDescription", "soft", "bone"), 2, {"SeriesDescription"}, id="description"
        ),
        pytest.param(tag("FilterType", "wedge", "body"), 2, {"FilterType"}, id="any other tag"),
        pytest.param(lambda dataset, number: None, 3, {"InstanceNumber"}, id="count alone"),
    ],
)
def test_volumes_are_told_apart_and_the_tags_named(
    tmp_path: Path, edit: Edit, count: int, by: set[str]
) -> None:
    volumes = volumes_of(count)
    write_volumes(tmp_path, volumes, edit, **MR)

    scans = read_scans(tmp_path).scans

    assert [scan.volume.tolist() for scan in scans] == volumes.tolist()
    assert all(set(split_by(scan)) == by for scan in scans)


@pytest.mark.parametrize("slices_first", [False, True])
@pytest.mark.parametrize("depth", [2, 5, 6])
@pytest.mark.parametrize("count", [2, 4])
def test_phases_of_the_count_run_volume_by_volume_or_slice_by_slice(
    tmp_path: Path, count: int, depth: int, slices_first: bool
) -> None:
    volumes = volumes_of(count, depth)
    write_volumes(tmp_path, volumes, tag("FlipAngle", *[20] * count), slices_first=slices_first)

    scans = read_scans(tmp_path).scans

    assert [scan.volume.tolist() for scan in scans] == volumes.tolist()


def test_a_scan_says_which_of_the_volumes_it_is(tmp_path: Path) -> None:
    edit = both(tag(B_VALUE, 0.0, 900.0, 900.0), tag(DIRECTION, None, X, Y))
    write_volumes(tmp_path, volumes_of(3), edit, **MR)
    told = [scan.provenance["volume"] for scan in read_scans(tmp_path).scans]
    assert told == [{DIRECTION: ""}, {DIRECTION: "1\\0\\0"}, {DIRECTION: "0\\1\\0"}]


def test_days_and_free_text_tell_volumes_apart_without_being_told(tmp_path: Path) -> None:
    edit = tag("SeriesDescription", "Ms Doe, arterial", "Ms Doe, venous")
    write_volumes(tmp_path, volumes_of(2), edit)
    assert all("Doe" not in str(scan.provenance) for scan in read_scans(tmp_path).scans)


def test_a_phase_that_lacks_a_slice_is_told_apart_by_count(tmp_path: Path) -> None:
    volumes = volumes_of(3)
    write_volumes(tmp_path, volumes, lambda dataset, number: None)
    next(tmp_path.glob("2-8")).unlink()

    first, second, third = read_scans(tmp_path).scans

    assert np.array_equal(first.volume, volumes[0])
    assert np.array_equal(second.volume, np.delete(volumes[1], 2, axis=0))
    assert np.array_equal(third.volume, volumes[2])


def test_a_series_stored_twice_and_numbered_on_is_read_once(tmp_path: Path) -> None:
    volume = volumes_of(1)
    write_volumes(tmp_path, np.concatenate([volume, volume]), lambda dataset, number: None)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.volume, volume[0])
    assert decision_of(scan, "duplicate_positions")["num_dropped"] == DEPTH


@pytest.mark.parametrize(
    ("tags", "taken_by"),
    [
        ({"AcquisitionNumber": 2}, ["AcquisitionNumber"]),
        ({"AcquisitionTime": "101500"}, ["AcquisitionTime"]),
        ({"ContentTime": "101500"}, ["ContentTime"]),
        ({}, ["InstanceNumber"]),
    ],
)
@pytest.mark.parametrize("places", [[3], [0], [7], [2, 3], [1, 4, 6]])
def test_slices_measured_again_replace_the_earlier_ones(
    tmp_path: Path, tags: dict[str, object], taken_by: list[str], places: Sequence[int]
) -> None:
    slices, again = volumes_of(2, 8)
    common = {"AcquisitionNumber": 1, "AcquisitionTime": "101000", "ContentTime": "101000"}
    write_series(tmp_path / "a", slices, **{key: common[key] for key in tags})
    for number, place in enumerate(places):
        write_series(
            tmp_path / f"b{place}",
            again[place][None],
            [5.0 * place],
            **tags,
            InstanceNumber=9 + number,
        )

    scan = read_scan(tmp_path)

    expected = slices.copy()
    expected[places] = again[places]
    assert np.array_equal(scan.volume, expected)
    repeated = decision_of(scan, "repeated_slices")
    assert repeated["at_slices"] == list(places)
    assert repeated["num_dropped"] == len(places)
    assert repeated["taken_by"] == taken_by


def test_phases_of_which_one_has_a_slice_again_are_split_all_the_same(tmp_path: Path) -> None:
    volumes = volumes_of(2)
    again = numbered_slices(1)
    write_volumes(tmp_path, volumes, tag("TemporalPositionIdentifier", 1, 2))
    write_series(tmp_path / "b", again, [8.0], TemporalPositionIdentifier=2, InstanceNumber=99)

    first, second = read_scans(tmp_path).scans

    volumes[1, 2] = again[0]
    assert np.array_equal(first.volume, volumes[0])
    assert np.array_equal(second.volume, volumes[1])


@pytest.mark.parametrize("num_changed", [1, 5])
def test_nearly_equal_copies_are_read_once(tmp_path: Path, num_changed: int) -> None:
    slices = volumes_of(1)[0]
    copy = slices.copy()
    copy[:num_changed, 0, 0] += 1
    write_series(tmp_path / "a", slices)
    write_series(tmp_path / "b", copy)

    scan = read_scan(tmp_path)

    assert np.abs(scan.volume - slices).max() <= 1
    assert decision_of(scan, "repeated_slices")["nearly_equal"]


def test_where_nothing_tells_volumes_apart_the_message_names_what_differs(tmp_path: Path) -> None:
    for number, slices in enumerate(volumes_of(2)):
        for place in range(DEPTH):
            exposure = 1 + DEPTH * number + place
            write_series(
                tmp_path / f"{exposure}",
                slices[place][None],
                [5.0 * place],
                Exposure=exposure,
                InstanceNumber=place,
            )

    with pytest.raises(ScanReadError, match=r"5 of 10 slices.*Exposure") as caught:
        read_scan(tmp_path)
    assert caught.value.reason is ScanReadReason.INCONSISTENT_SERIES


@pytest.mark.parametrize("shift", [0.02, 0.3, 0.9, 1.5])
@pytest.mark.parametrize(
    "edit", [tag("AcquisitionNumber", 1, 2), tag("ContrastBolusAgent", "", "I")]
)
def test_phases_between_which_the_table_moved_are_two_scans(
    tmp_path: Path, shift: float, edit: Edit
) -> None:
    volumes = volumes_of(2, 7)

    def moved(dataset: FileDataset, number: int) -> None:
        edit(dataset, number)
        dataset.ImagePositionPatient = [
            0,
            0,
            float(dataset.ImagePositionPatient[2]) + number * shift,
        ]

    write_volumes(tmp_path, volumes, moved)

    scans = read_scans(tmp_path).scans

    assert [scan.volume.tolist() for scan in scans] == volumes.tolist()
    assert all(scan.spacing_mm[0] == pytest.approx(4) for scan in scans)


def test_ct_phases_that_lie_midway_between_each_other_are_two_scans(tmp_path: Path) -> None:
    volumes = volumes_of(2)
    for number, volume in enumerate(volumes):
        heights = [4.0 * place + 2 * number for place in range(DEPTH)]
        write_series(tmp_path / str(number), volume, heights, AcquisitionNumber=number + 1)
    scans = read_scans(tmp_path).scans
    assert [scan.volume.tolist() for scan in scans] == volumes.tolist()


@pytest.mark.parametrize("depth", [8, 9])
def test_the_interleaved_packages_of_one_acquisition_stay_together(
    tmp_path: Path, depth: int
) -> None:
    slices = volumes_of(1, depth)[0]
    for package in range(2):
        own = list(range(package, depth, 2))
        heights = [4.0 * place + 0.1 * package for place in own]
        write_series(
            tmp_path / str(package), slices[own], heights, **MR, AcquisitionNumber=package + 1
        )
    assert np.array_equal(read_scan(tmp_path).volume, slices)


@pytest.mark.parametrize("num_packages", [2, 3, 4])
@pytest.mark.parametrize("is_interleaved", [True, False])
def test_stacks_that_are_packages_of_one_volume_are_one_scan(
    tmp_path: Path, num_packages: int, is_interleaved: bool
) -> None:
    frames = volumes_of(1, 13)[0]
    groups = [
        functional_groups(
            [0, 0, 3.0 * place],
            FrameContentSequence=item(
                StackID=str(place % num_packages if is_interleaved else place * num_packages // 13)
            ),
        )
        for place in range(13)
    ]

    scan = read_scan(write_enhanced(tmp_path / "mr", frames, groups))

    assert np.array_equal(scan.volume, frames)
    assert scan.spacing_mm[0] == 3
    assert decision_of(scan, "merged_stacks")["num_stacks"] == num_packages


@pytest.mark.parametrize("offset", [[90.0, 0.0, 0.0], [0.0, 0.0, 60.0]])
def test_slabs_apart_stay_scans_of_their_own(tmp_path: Path, offset: list[float]) -> None:
    frames = volumes_of(1, 8)[0]
    groups = [
        functional_groups(
            [slab * offset[0], 0, 3.0 * place + slab * offset[2]],
            FrameContentSequence=item(StackID=str(slab)),
        )
        for slab in range(2)
        for place in range(4)
    ]

    scans = read_scans(write_enhanced(tmp_path / "mr", frames, groups)).scans

    assert [len(scan.volume) for scan in scans] == [4, 4]
    assert split_by(scans[0]) == ["StackID"]


def write_enhanced(path: Path, frames: np.ndarray, groups: list[Any], **tags: object) -> Path:
    absent = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient"))
    dataset = dicom_dataset(
        frames, SOPClassUID=uid.EnhancedMRImageStorage, Modality="MR", **absent, **tags
    )
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_enhanced_directions_and_the_trace_among_them_are_told_apart(tmp_path: Path) -> None:
    volumes = volumes_of(4)
    groups = []
    for number in range(4):
        diffusion = item(DiffusionBValue=0.0 if number == 0 else 1000.0)
        if number in (1, 2):
            direction = item(DiffusionGradientOrientation=(X, Y)[number - 1])
            diffusion.DiffusionGradientDirectionSequence = [direction]
        groups += [
            functional_groups([0, 0, 3.0 * place], MRDiffusionSequence=diffusion)
            for place in range(DEPTH)
        ]

    scans = read_scans(write_enhanced(tmp_path / "e", volumes.reshape(-1, 8, 8), groups)).scans

    assert [scan.volume.tolist() for scan in scans] == volumes.tolist()


def test_one_enhanced_file_for_each_phase_is_told_apart_by_number(tmp_path: Path) -> None:
    volumes = volumes_of(3)
    groups = [functional_groups([0, 0, 3.0 * place]) for place in range(DEPTH)]
    for number, volume in enumerate(volumes):
        write_enhanced(tmp_path / str(9 - number), volume, groups, InstanceNumber=number + 1)

    scans = read_scans(tmp_path).scans

    assert [scan.volume.tolist() for scan in scans] == volumes.tolist()


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"PixelSpacing": [0.6, 0.6]}, "PixelSpacing"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "PhotometricInterpretation"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "ImageOrientationPatient"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
    ],
)
def test_what_makes_a_series_fall_apart_is_told(
    tmp_path: Path, tags: dict[str, object], name: str
) -> None:
    write_series(tmp_path / "a", volumes_of(1)[0])
    write_series(tmp_path / "b", volumes_of(2)[1], **tags)
    scans = read_scans(tmp_path).scans
    assert {tuple(split_by(scan)) for scan in scans} == {(name,)}
