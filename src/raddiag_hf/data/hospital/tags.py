"""Who a DICOM file is about, as far as an import needs to know; none of it is put out as it is."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from raddiag_hf.data.store.case import parse_age, parse_sex
from raddiag_hf.imaging.dicom.diagnostic import CROSS_SECTIONAL
from raddiag_hf.imaging.dicom.file import DicomFile, Tags, open_dicom
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.formats import FileFormat, sniff_format
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Sex

OLDEST_AGE_YEARS = 90.0
"""Ages above are given as this one, because so few people reach them that an age names them."""


@dataclass(frozen=True)
class HospitalTags:
    """What the tags of one DICOM file say about patient and study; never put it out.

    Attributes:
        study: ``StudyInstanceUID``; empty where absent.
        patient_id: Empty where absent.
        age: Years at the examination, as far as the tags say.
        birth_date: Where it is a date.
        sex: Where it is one of F, M, O.
        is_burned_in: The file says that its pixels show who it is about.
        slice_of: ``SeriesInstanceUID`` of the series that it is one slice of; empty for
            projections, clips and whole volumes.
    """

    study: str
    patient_id: str
    age: float | None
    birth_date: date | None
    sex: Sex | None
    is_burned_in: bool
    slice_of: str


def read_hospital_tags(path: Path) -> HospitalTags:
    """Read the header of a DICOM file.

    Raises:
        ScanReadError: ``UNKNOWN_FORMAT`` if it is not DICOM; else as `open_dicom`.
    """
    with only_scan_read_errors(path, "the DICOM header", quote=False):
        if sniff_format(path) is not FileFormat.DICOM:
            raise ScanReadError(path, ScanReadReason.UNKNOWN_FORMAT, "is not DICOM")
        return hospital_tags(open_dicom(path, ReadLimits(), with_pixels=False))


def hospital_tags(file: DicomFile) -> HospitalTags:
    """Return what the header of a file says."""
    tags = Tags(file.header)
    birth_date = parse_date(tags.text("PatientBirthDate"))
    age_text = tags.text("PatientAge")
    age = parse_age(age_text) if age_text[-1:].isalpha() else None  # DICOM has no age without unit
    if age is None:
        age = age_at(birth_date, parse_date(tags.text("StudyDate")))
    is_single = tags.number("NumberOfFrames") in (None, 1)
    is_slice = is_single and tags.text("Modality").upper() in CROSS_SECTIONAL
    return HospitalTags(
        study=tags.text("StudyInstanceUID"),
        patient_id=tags.text("PatientID"),
        age=age,
        birth_date=birth_date,
        sex=parse_sex(tags.text("PatientSex")),
        is_burned_in=tags.text("BurnedInAnnotation").upper() == "YES",
        slice_of=tags.text("SeriesInstanceUID") if is_slice else "",
    )


def first_hospital_tags(files: Iterable[Path]) -> HospitalTags | None:
    """Return the tags of the first file that is readable DICOM; None where there is none."""
    for file in files:
        try:
            return read_hospital_tags(file)
        except ScanReadError:
            continue
    return None


def parse_date(text: str) -> date | None:
    """Return a date written as ``YYYY-MM-DD`` or ``YYYYMMDD``; None for anything else."""
    for form in ("%Y-%m-%d", "%Y%m%d"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


def age_at(birth: date | None, day: date | None) -> float | None:
    """Return the years between two dates; None where one is missing or they are in wrong order."""
    if birth is None or day is None or day < birth:
        return None
    return (day - birth).days / 365.25


def coarse_age(age: float | None) -> float | None:
    """Return an age that does not name a person: whole years, months below two, 90 above."""
    if age is None:
        return None
    steps_a_year = 12 if age < 2 else 1
    return min(int(age * steps_a_year + 1e-6) / steps_a_year, OLDEST_AGE_YEARS)
