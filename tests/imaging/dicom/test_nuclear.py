"""Reconstructions of nuclear medicine, whose frames only the detector's tags place."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.vocabulary import Plane
from tests.fixtures.dicom_files import AXIAL, CORONAL, SAGITTAL, dicom_dataset, item

FEET_TO_HEAD = np.random.default_rng(0).integers(0, 999, (10, 8, 9), dtype=np.uint16)


def spect(
    path: Path,
    frames: np.ndarray,
    step: float | None,
    *,
    orientation: Sequence[float] = AXIAL,
    position: Sequence[float] | None = (0, 0, 0),
    in_detector: bool = True,
    **tags: object,
) -> Path:
    place = {
        "ImageOrientationPatient": list(orientation),
        **({} if position is None else {"ImagePositionPatient": list(position)}),
    }
    nowhere = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
    dataset = dicom_dataset(
        frames,
        **{
            "Modality": "NM",
            "SOPClassUID": uid.NuclearMedicineImageStorage,
            "ImageType": ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"],
            "PixelSpacing": [4, 4],
            "SliceThickness": 3,
            "SpacingBetweenSlices": step,
            **(nowhere if in_detector else {**nowhere, **place}),
            **tags,
        },
    )
    if in_detector:
        dataset.DetectorInformationSequence = [item(**place)]
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("in_detector", [True, False])
@pytest.mark.parametrize("step", [4.0, -4.0])
def test_slices_run_from_feet_to_head_whatever_the_sign(
    tmp_path: Path, step: float, in_detector: bool
) -> None:
    stored = FEET_TO_HEAD if step > 0 else FEET_TO_HEAD[::-1]
    scan = read_scan(spect(tmp_path / "a", stored, step, in_detector=in_detector))
    assert np.array_equal(scan.volume, FEET_TO_HEAD)
    assert scan.plane is Plane.AXIAL
    assert scan.spacing_mm == (4, 4, 4)
    assert scan.provenance["decisions"] == [{"kind": "placed_by_spacing", "step_mm": step}]


@pytest.mark.parametrize(
    ("orientation", "plane"), [(CORONAL, Plane.CORONAL), (SAGITTAL, Plane.SAGITTAL)]
)
def test_other_planes_are_ordered_along_their_normal(
    tmp_path: Path, orientation: Sequence[float], plane: Plane
) -> None:
    path = spect(tmp_path / "a", FEET_TO_HEAD, -4.0, orientation=orientation)
    scan = read_scan(path)
    assert np.array_equal(scan.volume, FEET_TO_HEAD[::-1])
    assert scan.plane is plane


def test_the_slice_vector_says_which_frame_is_which_slice(tmp_path: Path) -> None:
    order = np.random.default_rng(1).permutation(10)
    vector = [int(number) + 1 for number in order]
    path = spect(tmp_path / "a", FEET_TO_HEAD[order], 4.0, SliceVector=vector)
    assert np.array_equal(read_scan(path).volume, FEET_TO_HEAD)


def test_phases_of_a_gated_study_are_scans_of_their_own(tmp_path: Path) -> None:
    phases = np.stack([FEET_TO_HEAD, FEET_TO_HEAD + 1, FEET_TO_HEAD + 2])
    path = spect(
        tmp_path / "a",
        phases.reshape(30, 8, 9),
        -4.0,
        ImageType=["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"],
        SliceVector=[*range(1, 11)] * 3,
        TimeSlotVector=[slot for slot in (1, 2, 3) for _ in range(10)],
        RRIntervalVector=[1] * 30,
    )
    scans = read_scans(path).scans
    assert len(scans) == 3
    for scan, phase in zip(scans, phases, strict=True):
        assert np.array_equal(scan.volume, phase[::-1])


@pytest.mark.parametrize(("step", "position"), [(None, (0, 0, 0)), (0, (0, 0, 0)), (4.0, None)])
def test_without_a_signed_distance_frames_keep_their_order(
    tmp_path: Path, step: float | None, position: Sequence[float] | None
) -> None:
    scan = read_scan(spect(tmp_path / "a", FEET_TO_HEAD, step, position=position))
    assert np.array_equal(scan.volume, FEET_TO_HEAD)
    assert scan.plane is Plane.AXIAL
    assert scan.provenance["decisions"] == [
        {"kind": "ordered_without_positions", "ordered_by": "frame number"}
    ]


@pytest.mark.parametrize("kind", ["TOMO", "WHOLE BODY", "DYNAMIC", "STATIC"])
def test_what_is_no_reconstruction_keeps_its_frames_as_they_are(tmp_path: Path, kind: str) -> None:
    image_type = ["ORIGINAL", "PRIMARY", kind, "EMISSION"]
    scan = read_scan(spect(tmp_path / "a", FEET_TO_HEAD, -4.0, ImageType=image_type))
    assert np.array_equal(scan.volume, FEET_TO_HEAD)
    assert scan.plane is Plane.UNKNOWN
