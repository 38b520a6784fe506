"""A phantom case as DICOM: valid objects that read back as the same voxels."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from raddiag_hf.phantoms.cases import PhantomCase, draw_case
from raddiag_hf.phantoms.dicom import write_dicom_case
from raddiag_hf.vocabulary import Modality

STORAGE = {
    Modality.CT: uid.CTImageStorage,
    Modality.MRI: uid.MRImageStorage,
    Modality.XRAY: uid.ComputedRadiographyImageStorage,
    Modality.ULTRASOUND: uid.UltrasoundMultiFrameImageStorage,
}


@pytest.fixture(scope="module")
def case() -> PhantomCase:
    """A case with all four modalities."""
    drawn = (draw_case(0, index, image_size=32, max_slices=7) for index in range(400))
    return next(c for c in drawn if {scan.modality for scan in c.scans} == set(STORAGE))


@pytest.fixture(scope="module")
def series(
    case: PhantomCase, tmp_path_factory: pytest.TempPathFactory
) -> list[list[pydicom.Dataset]]:
    """For each scan its files in the order of their names."""
    folders = write_dicom_case(case, tmp_path_factory.mktemp("dicom") / "study")
    return [[pydicom.dcmread(path) for path in sorted(folder.iterdir())] for folder in folders]


def test_modality_values_are_the_voxels(
    case: PhantomCase, series: list[list[pydicom.Dataset]]
) -> None:
    for scan, images in zip(case.scans, series, strict=True):
        frames = [np.atleast_3d(apply_modality_lut(i.pixel_array, i)) for i in images]
        values = frames[0] if scan.modality is Modality.ULTRASOUND else np.dstack(frames)
        if scan.modality is not Modality.ULTRASOUND:
            values = np.moveaxis(values, -1, 0)
        np.testing.assert_array_equal(values, scan.volume)


def test_display_windows_cut_nothing_off(
    case: PhantomCase, series: list[list[pydicom.Dataset]]
) -> None:
    for scan, images in zip(case.scans, series, strict=True):
        if scan.modality is Modality.ULTRASOUND:
            continue
        values = apply_modality_lut(images[0].pixel_array, images[0])
        shown = apply_voi_lut(values, images[0])
        assert len(np.unique(shown)) == len(np.unique(values))


def test_every_scan_has_the_storage_class_of_its_modality(
    case: PhantomCase, series: list[list[pydicom.Dataset]]
) -> None:
    for scan, images in zip(case.scans, series, strict=True):
        assert {image.SOPClassUID for image in images} == {STORAGE[scan.modality]}
        assert {Modality.from_dicom(image.Modality) for image in images} == {scan.modality}
        assert all(image.file_meta.MediaStorageSOPClassUID == image.SOPClassUID for image in images)


def test_uids_tell_one_study_its_series_and_its_images_apart(
    series: list[list[pydicom.Dataset]],
) -> None:
    images = [image for files in series for image in files]
    assert len({image.StudyInstanceUID for image in images}) == 1
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert all(len({image.SeriesInstanceUID for image in files}) == 1 for files in series)
    assert len({files[0].SeriesInstanceUID for files in series}) == len(series)
    assert all(uid.UID(image.SOPInstanceUID).is_valid for image in images)


def test_slices_follow_each_other_along_their_normal_at_the_scan_s_spacing(
    case: PhantomCase, series: list[list[pydicom.Dataset]]
) -> None:
    for scan, images in zip(case.scans, series, strict=True):
        if scan.modality not in (Modality.CT, Modality.MRI):
            continue
        row, column = np.reshape(images[0].ImageOrientationPatient, (2, 3)).astype(float)
        along = [float(np.cross(row, column) @ image.ImagePositionPatient) for image in images]
        np.testing.assert_allclose(np.diff(along), scan.spacing_mm[0], rtol=1e-5)
        np.testing.assert_allclose(images[0].PixelSpacing, scan.spacing_mm[1:], rtol=1e-5)


def test_patient_module_is_that_of_the_case(
    case: PhantomCase, series: list[list[pydicom.Dataset]]
) -> None:
    image = series[0][0]
    assert image.PatientID == case.patient_id
    assert image.PatientAge == f"{int(case.age):03d}Y"
    assert "Synthetic" in image.StudyDescription


def test_writing_twice_gives_the_same_bytes(case: PhantomCase, tmp_path: Path) -> None:
    one, other = (write_dicom_case(case, tmp_path / name) for name in ("one", "other"))
    for first, second in zip(one, other, strict=True):
        for path in first.iterdir():
            assert path.read_bytes() == (second / path.name).read_bytes()


def test_an_existing_folder_is_left_alone(case: PhantomCase, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="exists; expected a folder that can be made anew"):
        write_dicom_case(case, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_write_leaves_nothing(
    case: PhantomCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(pydicom.Dataset, "save_as", fail)
    with pytest.raises(OSError, match="disk full"):
        write_dicom_case(case, tmp_path / "study")
    assert not list(tmp_path.iterdir())
