"""Whole folders: what is a scan, what is left out and why, and what never gets out."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.dicom_files import (
    SERIES,
    STUDY,
    dicom_dataset,
    numbered_slices,
    write_dicom,
    write_series,
)

SLICE = numbered_slices(1)[0]


def test_a_study_falls_apart_into_its_series(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(3), SeriesInstanceUID="1.2.1", SeriesNumber=2)
    write_series(
        tmp_path / "mr",
        numbered_slices(4),
        SeriesInstanceUID="1.2.2",
        SeriesNumber=1,
        Modality="MR",
        SOPClassUID=uid.MRImageStorage,
        SeriesDescription="Sag T2 knee",
    )
    Image.fromarray(SLICE.astype(np.uint8)).save(tmp_path / "film.png")
    np.save(tmp_path / "array.npy", SLICE)

    reading = read_scans(tmp_path)

    assert [scan.modality for scan in reading.scans] == [Modality.MRI, Modality.CT, None, None]
    assert [len(scan.volume) for scan in reading.scans] == [4, 3, 1, 1]
    assert reading.scans[0].anatomy is Anatomy.LOWER_LIMB
    assert reading.rejected == ()


@pytest.mark.parametrize(
    ("tags", "reason", "found"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "not_diagnostic", "a localiser"),
        ({"SeriesDescription": "3-plane loc"}, "not_diagnostic", "a localiser"),
        ({"SeriesDescription": "Topogram 0.6"}, "not_diagnostic", "a localiser"),
        ({"SeriesDescription": "Dose Report"}, "not_diagnostic", "a dose sheet"),
        ({"SeriesDescription": "Patient Protocol"}, "not_diagnostic", "a dose sheet"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "not_diagnostic", "a dose"),
        ({"SOPClassUID": uid.SegmentationStorage}, "not_diagnostic", "a segmentation"),
        ({"Modality": "SEG"}, "not_diagnostic", "a segmentation"),
        ({"SOPClassUID": uid.RTDoseStorage}, "not_diagnostic", "a radiotherapy dose"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "not_diagnostic", "raw detector data"),
        (
            {"SOPClassUID": uid.SecondaryCaptureImageStorage, "ConversionType": "SD"},
            "not_diagnostic",
            "a scanned document",
        ),
        ({"SOPClassUID": uid.SecondaryCaptureImageStorage}, "not_diagnostic", "beside the"),
        (
            {"SOPClassUID": uid.SecondaryCaptureImageStorage, "Modality": "OT"},
            "not_diagnostic",
            "beside the acquired images",
        ),
    ],
)
def test_what_is_no_diagnostic_image_is_left_out_with_its_reason(
    tmp_path: Path, tags: dict[str, object], reason: str, found: str
) -> None:
    write_series(tmp_path / "ct", numbered_slices(3))
    other = write_dicom(tmp_path / "other.dcm", SLICE, SeriesInstanceUID="1.2.3", **tags)

    reading = read_scans(tmp_path)

    assert [len(scan.volume) for scan in reading.scans] == [3]
    (rejected,) = reading.rejected
    assert (rejected.path, rejected.reason.value) == (other, reason)
    assert rejected.found.startswith(found) or found in rejected.found


def test_a_localiser_within_the_series_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(3))
    write_dicom(tmp_path / "scout", SLICE, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert read_scan(tmp_path).volume.shape == (3, 8, 8)


def test_a_skeletal_survey_is_no_localiser(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "cr", SLICE, Modality="CR", SeriesDescription="Bone survey")
    assert read_scan(path).modality is Modality.XRAY


def test_a_secondary_capture_alone_is_a_digitised_film(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "film",
        SLICE,
        Modality="OT",
        SOPClassUID=uid.SecondaryCaptureImageStorage,
        ConversionType="DF",
    )
    scan = read_scan(path)
    assert scan.modality is None
    assert read_scan(path, modality=Modality.XRAY).modality is Modality.XRAY


def test_reports_and_indices_are_no_images(tmp_path: Path) -> None:
    report = dicom_dataset(SLICE, SOPClassUID=uid.ComprehensiveSRStorage, Modality="SR")
    del report.PixelData
    report.save_as(tmp_path / "sr.dcm")
    with pytest.raises(ScanReadError, match="Comprehensive SR") as caught:
        read_scan(tmp_path / "sr.dcm")
    assert caught.value.reason is ScanReadReason.NOT_AN_IMAGE


def test_the_callers_word_stands_and_the_tags_are_recorded(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "ct", SLICE, BodyPartExamined="HEAD")
    scan = read_scan(path, modality=Modality.NUCLEAR_MEDICINE, anatomy=Anatomy.CHEST)
    assert (scan.modality, scan.anatomy) == (Modality.NUCLEAR_MEDICINE, Anatomy.CHEST)
    assert scan.provenance["decisions"] == [
        {"kind": "modality_overridden", "file_says": "CT"},
        {"kind": "anatomy_overridden", "file_says": "Head and neck"},
    ]


@pytest.mark.parametrize(
    ("tags", "anatomy"),
    [
        ({"BodyPartExamined": "CSPINE"}, Anatomy.SPINE),
        ({"StudyDescription": "CT HEAD/BRAIN WO CONTRAST"}, Anatomy.HEAD_AND_NECK),
        ({"StudyDescription": "CT chest, abdomen and pelvis"}, Anatomy.UNKNOWN),
        ({"BodyPartExamined": "WHOLEBODY", "SeriesDescription": "Thorax 5 mm"}, Anatomy.CHEST),
        ({"ProtocolName": "Thoracic Spine"}, Anatomy.SPINE),
        ({"SeriesDescription": "Head First Supine"}, Anatomy.UNKNOWN),
        ({"Modality": "MG"}, Anatomy.BREAST),
        ({}, Anatomy.UNKNOWN),
    ],
)
def test_anatomy_comes_from_the_tags_where_they_are_unambiguous(
    tmp_path: Path, tags: dict[str, str], anatomy: Anatomy
) -> None:
    assert read_scan(write_dicom(tmp_path / "scan", SLICE, **tags)).anatomy is anatomy


def test_nothing_of_the_patient_gets_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = {
        "PatientName": "Doe^Jane",
        "PatientID": "MRN-4711",
        "PatientBirthDate": "19700101",
        "AccessionNumber": "ACC-99",
        "StudyDescription": "Fall of Ms Doe from a ladder",
        "SeriesDescription": "Doe knee",
        "ImageComments": "called her husband",
    }
    write_series(tmp_path / "study", numbered_slices(3), heights=[0, 5, 20], **secrets)
    damaged = write_dicom(tmp_path / "study" / "damaged.dcm", SLICE, **secrets, SeriesNumber=7)
    damaged.write_bytes(damaged.read_bytes()[:-30])
    for number in range(2):
        write_dicom(
            tmp_path / "refused" / str(number),
            SLICE + number,
            ImagePositionPatient=[0, 0, 0],
            InstanceNumber=3,
            **secrets,
        )

    reading = read_scans(tmp_path / "study")
    with pytest.raises(ScanReadError) as caught:
        read_scan(tmp_path / "refused")

    told = (
        json.dumps([[scan.scan_id, dict(scan.provenance)] for scan in reading.scans])
        + repr(reading.rejected)
        + str(caught.value)
        + caplog.text
    )
    for secret in (*secrets.values(), "Doe", "ladder", "husband", STUDY, SERIES):
        assert secret not in told
    assert len(reading.rejected) == 1


def test_an_empty_folder_and_a_missing_path_say_so(tmp_path: Path) -> None:
    with pytest.raises(ScanReadError) as caught:
        read_scans(tmp_path)
    assert caught.value.reason is ScanReadReason.EMPTY
    with pytest.raises(ScanReadError) as caught:
        read_scan(tmp_path / "nothing.dcm")
    assert caught.value.reason is ScanReadReason.NOT_FOUND


def test_a_folder_without_scans_counts_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "void.dcm").touch()
    with pytest.raises(ScanReadError, match="unknown_format 1, empty 1") as caught:
        read_scans(tmp_path)
    assert caught.value.reason is ScanReadReason.EMPTY
    (tmp_path / "void.dcm").unlink()
    with pytest.raises(ScanReadError) as caught:
        read_scans(tmp_path)
    assert caught.value.reason is ScanReadReason.UNKNOWN_FORMAT


def test_other_files_do_not_disturb(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(2))
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)

    reading = read_scans(tmp_path)

    assert len(reading.scans) == 1
    reasons = {each.path.name: each.reason for each in reading.rejected}
    assert reasons == {
        ".DS_Store": ScanReadReason.UNKNOWN_FORMAT,
        "pipe": ScanReadReason.UNREADABLE,
    }


def test_progress_counts_the_files(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(3))
    told: list[tuple[str, int, int]] = []
    read_scans(tmp_path, progress=lambda *step: told.append(step))
    assert told == [("Reading scans", done, 3) for done in (1, 2, 3)]


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, numbered_slices(3))
    with pytest.raises(ScanReadError, match="more than 2 files"):
        read_scans(tmp_path, limits=ReadLimits(max_files=2))


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="max_side is 0"):
        ReadLimits(max_side=0)


def test_files_of_lost_series_identity_belong_to_their_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_series(tmp_path / folder, numbered_slices(3), SeriesInstanceUID=None)
    assert [len(scan.volume) for scan in read_scans(tmp_path).scans] == [3, 3]
