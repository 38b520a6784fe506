"""No identifier that stands in tags, names or manifest reaches any byte of the data set."""

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.uid import RawDataStorage

from raddiag_hf.data.hospital.case import HospitalDataError
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.importing import import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.store.case_metadata import read_metadata
from tests.fixtures.dicom_files import numbered_slices, write_dicom, write_series

SECRET = "Quixote"
"""Stands in every name and text below, so that one search finds whatever slips through."""

DATES = ("19310405", "20190807", "1931-04-05", "2019-08-07")
UIDS = ("1.2.826.77.1", "1.2.826.77.2", "1.2.826.77.3")

IDS = ("case", "patient", "study")
"""Columns of the manifest whose values name somebody."""

TAGS = {
    "PatientName": f"{SECRET}^Alonso",
    "PatientID": f"MRN{SECRET}",
    "OtherPatientIDs": f"OTHER{SECRET}",
    "PatientBirthDate": DATES[0],
    "PatientAddress": f"{SECRET} street",
    "StudyDate": DATES[1],
    "SeriesDate": DATES[1],
    "AccessionNumber": f"AC{SECRET}",
    "InstitutionName": f"{SECRET} hospital",
    "ReferringPhysicianName": f"{SECRET}^Dr",
    "StudyDescription": f"{SECRET} study of the chest",
    "SeriesDescription": f"{SECRET} series",
    "ProtocolName": f"{SECRET} protocol",
    "ImageComments": f"{SECRET} comment",
    "PatientComments": f"{SECRET} comment",
    "AdditionalPatientHistory": f"{SECRET} history",
    "StationName": SECRET,
    "StudyID": SECRET,
    "StudyInstanceUID": UIDS[0],
    "SeriesInstanceUID": UIDS[1],
    "FrameOfReferenceUID": UIDS[2],
}


def secrets() -> list[bytes]:
    plain = [SECRET, SECRET.lower(), SECRET.upper(), *DATES, *UIDS]
    # Without a key, a digest of an identifier is one too.
    digests = [
        hashlib.new(name, text.encode()).hexdigest()[:12]
        for text in (*UIDS, TAGS["PatientID"], *(f"{one}{SECRET}" for one in IDS))
        for name in ("sha256", "sha1", "md5")
    ]
    return [text.encode() for text in (*plain, *digests)]


def all_bytes(folder: Path) -> bytes:
    """Names and bytes of every file, and every column of the Parquet files decompressed."""
    parts = []
    for path in sorted(folder.rglob("*")):
        parts.append(str(path.relative_to(folder)).encode())
        if path.is_file():
            parts.append(path.read_bytes())
        if path.suffix == ".parquet":
            parts.append(repr(pq.read_table(path).to_pylist()).encode())
            parts.append(repr(pq.read_schema(path)).encode())
    return b"\0".join(parts)


def write_archive(folder: Path) -> None:
    study = folder / f"{SECRET}_Alonso_1931-04-05"
    write_series(study, numbered_slices(3), **TAGS)
    report = TAGS | {"SOPClassUID": RawDataStorage, "SeriesInstanceUID": "1.2.826.7"}
    write_dicom(study / f"report-{SECRET}.dcm", numbered_slices(1)[0], **report)
    (study / f"letter.{SECRET}").write_text(f"{SECRET} was seen on 2019-08-07")
    good = write_dicom(
        study / f"{SECRET}.dcm", numbered_slices(1)[0], **TAGS | {"SeriesInstanceUID": "1.2.826.9"}
    )
    (study / f"broken {SECRET}.dcm").write_bytes(good.read_bytes()[:-40])
    burned_in = TAGS | {"BurnedInAnnotation": "YES", "SeriesInstanceUID": "1.2.826.8"}
    write_dicom(study / f"screen {SECRET}.dcm", numbered_slices(1)[0], **burned_in)
    pixels = np.random.default_rng(0).normal(size=(8, 8, 2)).astype(np.float32)
    np.save(folder / f"{SECRET}.npy", pixels)
    notes = PngInfo()
    notes.add_text("Comment", SECRET)
    Image.fromarray(numbered_slices(1)[0].astype(np.uint8)).save(
        folder / f"{SECRET}.png", pnginfo=notes
    )
    volume = nib.Nifti1Image(pixels, np.eye(4))
    volume.header["descrip"] = SECRET
    nib.save(volume, folder / f"{SECRET}.nii.gz")


def write_manifest(folder: Path) -> Path:
    path = folder / f"{SECRET}.csv"
    rows = (
        "case_id,path,patient_id,study,modality,labels,date",
        f"case{SECRET},{SECRET}_Alonso_1931-04-05,patient{SECRET},,,Nodule,2019-08-07",
        f"case{SECRET}-2,{SECRET}.npy,patient{SECRET},study{SECRET},CT,Nodule,2019-08-07",
        f"case{SECRET}-2,{SECRET}.png,,,X-ray,,",
        f"case{SECRET}-2,{SECRET}.nii.gz,,study{SECRET},MRI,,",
        f"case{SECRET}-3,absent {SECRET}.dcm,,,CT,,2019-08-07",
    )
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


@pytest.mark.parametrize("has_manifest", [True, False])
def test_no_planted_identifier_reaches_the_data_set(tmp_path, has_manifest):
    archive = tmp_path / "archive"
    write_archive(archive)
    source = write_manifest(archive) if has_manifest else archive
    output = tmp_path / "cases"
    result = import_hospital_data(source, output, Pseudonyms(bytes(range(32))))
    reasons = {rejection.reason for rejection in result.rejections}
    assert {"corrupt", "burned_in_annotation", "unknown_format"} <= reasons
    if has_manifest:
        scans = read_metadata(result.store).scan_cases
        assert sorted(np.bincount(scans)) == [2, 3], "two series; an array, a picture, a volume"
    written = all_bytes(output)
    assert [secret for secret in secrets() if secret in written] == []
    assert str(tmp_path).encode() not in written
    assert b"raddiag-" not in written, "no name of a temporary folder either"


def test_the_search_would_find_what_slips_through(tmp_path):
    write_archive(tmp_path)
    (tmp_path / "list.csv").write_text(f"{SECRET},{UIDS[0]}")
    assert {SECRET.encode(), UIDS[0].encode()} <= {
        secret for secret in secrets() if secret in all_bytes(tmp_path)
    }


def test_an_unfinished_import_holds_no_identifier_either(tmp_path):
    write_archive(tmp_path / "archive")
    with pytest.raises(HospitalDataError, match="broken"):
        import_hospital_data(
            tmp_path / "archive",
            tmp_path / "cases",
            Pseudonyms(bytes(range(32))),
            ImportSettings(is_strict=True, keeps_burned_in=True),
        )
    unfinished = tmp_path / ".cases.incomplete"
    assert (unfinished / "build.json").exists()
    left = all_bytes(unfinished)
    assert [secret for secret in secrets() if secret in left] == []
