"""Enhanced multi-frame objects and Siemens mosaics: many slices in one file."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Modality, Plane
from tests.fixtures.dicom_files import (
    SAGITTAL,
    dicom_dataset,
    functional_groups,
    item,
    numbered_slices,
)


def write_enhanced(path: Path, frames: np.ndarray, groups: list[Dataset], **tags: object) -> Path:
    dataset = dicom_dataset(
        frames,
        **{
            "SOPClassUID": uid.EnhancedMRImageStorage,
            "Modality": "MR",
            "ImagePositionPatient": None,
            "ImageOrientationPatient": None,
            "PixelSpacing": None,
            **tags,
        },
    )
    dataset.SharedFunctionalGroupsSequence = [
        item(PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.6], SliceThickness=3.0)])
    ]
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_frames_are_sorted_by_their_own_positions(tmp_path: Path) -> None:
    frames = numbered_slices(3)
    groups = [functional_groups([0, 0, height]) for height in (8, 0, 4)]

    scan = read_scan(write_enhanced(tmp_path / "mr", frames, groups))

    assert np.array_equal(scan.volume, frames[[1, 2, 0]])
    assert scan.spacing_mm == (4.0, 0.7, 0.6)
    assert (scan.modality, scan.plane) == (Modality.MRI, Plane.AXIAL)


def test_each_frame_has_its_own_rescale(tmp_path: Path) -> None:
    frames = numbered_slices(2)
    groups = [
        functional_groups(
            [0, 0, 4.0 * number],
            PixelValueTransformationSequence=item(RescaleSlope=slope, RescaleIntercept=-5),
        )
        for number, slope in enumerate((2, 3))
    ]

    scan = read_scan(write_enhanced(tmp_path / "ct", frames, groups, Modality="CT"))

    assert np.array_equal(scan.volume, np.stack([frames[0] * 2.0 - 5, frames[1] * 3.0 - 5]))


def test_stacks_of_one_object_are_scans_of_their_own(tmp_path: Path) -> None:
    frames = numbered_slices(5)
    groups = [
        functional_groups([0, 0, 4.0 * number], FrameContentSequence=item(StackID="1"))
        for number in range(3)
    ] + [
        functional_groups([-4.0 * number, 0, 0], SAGITTAL, FrameContentSequence=item(StackID="2"))
        for number in range(2)
    ]

    axial, sagittal = read_scans(write_enhanced(tmp_path / "mr", frames, groups)).scans

    assert np.array_equal(axial.volume, frames[:3])
    assert np.array_equal(sagittal.volume, frames[3:])
    assert sagittal.plane is Plane.SAGITTAL


def test_interleaved_b_values_are_told_apart(tmp_path: Path) -> None:
    frames = numbered_slices(6)
    groups = [
        functional_groups(
            [0, 0, 4.0 * (number // 2)],
            MRDiffusionSequence=item(DiffusionBValue=float((1000, 0)[number % 2])),
        )
        for number in range(6)
    ]

    low, high = read_scans(write_enhanced(tmp_path / "dwi", frames, groups)).scans

    assert np.array_equal(low.volume, frames[1::2])
    assert np.array_equal(high.volume, frames[0::2])


def test_a_tomosynthesis_view_is_windowed_frame_by_frame(tmp_path: Path) -> None:
    frames = np.arange(2 * 64, dtype=np.uint16).reshape(2, 8, 8)
    window = {"FrameVOILUTSequence": item(WindowCenter=64, WindowWidth=65)}
    groups = [functional_groups([0, 0, float(height)], **window) for height in range(2)]

    path = write_enhanced(tmp_path / "mg", frames, groups, Modality="MG")

    scan = read_scan(path)
    assert scan.modality is Modality.MAMMOGRAPHY
    assert scan.volume.min() == 0
    assert scan.volume.max() == 65535


def mosaic_file(path: Path, slices: np.ndarray, num_tiles: int | None) -> Path:
    per_side = int(np.ceil(np.sqrt(len(slices))))
    tiles = np.zeros((per_side**2, *slices.shape[1:]), dtype=slices.dtype)
    tiles[: len(slices)] = slices
    height, width = slices.shape[1:]
    image = tiles.reshape(per_side, per_side, height, width).swapaxes(1, 2)
    dataset = dicom_dataset(
        np.ascontiguousarray(image).reshape(per_side * height, per_side * width),
        SOPClassUID=uid.MRImageStorage,
        Modality="MR",
        ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
        SpacingBetweenSlices=4.0,
    )
    if num_tiles is not None:
        block = dataset.private_block(0x19, "SIEMENS MR HEADER", create=True)
        block.add_new(0x0A, "US", num_tiles)
    path.parent.mkdir(exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_mosaic_is_cut_into_its_slices(tmp_path: Path) -> None:
    slices = numbered_slices(7)

    scan = read_scan(mosaic_file(tmp_path / "mosaic", slices, 7))

    assert np.array_equal(scan.volume, slices)
    assert scan.spacing_mm == (4.0, 0.5, 0.5)
    assert scan.provenance["decisions"] == [{"kind": "mosaic_unfolded", "num_slices": 7}]


def test_a_mosaic_of_unknown_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanReadError, match="how many slices") as caught:
        read_scan(mosaic_file(tmp_path / "mosaic", numbered_slices(7), None))
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


def test_many_mosaics_are_a_measurement_over_time(tmp_path: Path) -> None:
    for time in range(17):
        mosaic_file(tmp_path / "fmri" / str(time), numbered_slices(2), 2)
    with pytest.raises(ScanReadError, match="17 mosaics"):
        read_scan(tmp_path / "fmri")


def test_a_clip_without_functional_groups_keeps_the_order_of_its_frames(tmp_path: Path) -> None:
    frames = numbered_slices(4)
    dataset = dicom_dataset(frames, Modality="XA", SOPClassUID=uid.XRayAngiographicImageStorage)
    dataset.save_as(tmp_path / "xa")

    scan: Scan = read_scan(tmp_path / "xa")

    assert np.array_equal(scan.volume, frames)
    assert scan.modality is Modality.DSA
    assert np.isnan(scan.spacing_mm[0])
