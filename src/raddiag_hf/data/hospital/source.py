"""What is to be imported, read and checked before anything is written."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from raddiag_hf.data.hospital.case import HospitalCase, HospitalDataError, StrayFiles
from raddiag_hf.data.hospital.class_folders import read_class_folders
from raddiag_hf.data.hospital.folders import read_study_folder
from raddiag_hf.data.hospital.manifest import read_manifest
from raddiag_hf.data.hospital.tags import first_hospital_tags
from raddiag_hf.imaging.picture_names import PICTURE_SUFFIXES
from raddiag_hf.labels.label_set import LabelSet

logger = logging.getLogger(__name__)

SUSPICIOUSLY_MANY = 10
"""Cases that hardly are of one patient."""

SLICES_LOOKED_AT = 3
"""Files of a case that show whether its rows are slices; to open all would take as long as to
import them."""


@dataclass(frozen=True)
class HospitalSource:
    """The cases of a manifest or a study folder.

    Attributes:
        path: The manifest, or the folder of studies.
        cases: In the order of the source.
        strays: Files that belong to no case.
    """

    path: Path
    cases: tuple[HospitalCase, ...]
    strays: StrayFiles

    @property
    def base(self) -> Path:
        """The folder that files are named relative to."""
        return self.path if self.path.is_dir() else self.path.parent

    def check_output(self, output: Path) -> None:
        """Refuse a data set within the folder that it is made of.

        Raises:
            HospitalDataError: If that is so.
        """
        if self.path.is_dir() and output.resolve().is_relative_to(self.path.resolve()):
            raise HospitalDataError(f"{output}: lies in {self.path}, which is to be imported")


def read_hospital_source(
    path: Path, label_set: LabelSet | None = None, *, class_folders: bool = False
) -> HospitalSource:
    """Read what a manifest or the headers below a folder say, and warn of what looks wrong.

    Args:
        path: A manifest (see `read_manifest`) or a folder of DICOM studies.
        label_set: The labels that may occur; None allows all.
        class_folders: Whether the folder holds one for each label; see `read_class_folders`.

    Raises:
        HospitalDataError: If it cannot be understood.
        OSError: If it cannot be read.
    """
    if path.is_dir() and class_folders:
        cases, strays = read_class_folders(path, label_set)
    elif path.is_dir():
        cases, strays = read_study_folder(path)
    else:
        cases, strays = read_manifest(path, label_set), StrayFiles(())
    _warn_of_patients(cases)
    _warn_of_slices(cases)
    _tell_of_pictures(cases)
    return HospitalSource(path, tuple(cases), strays)


def _warn_of_patients(cases: Sequence[HospitalCase]) -> None:
    """Say where splits by patient cannot be what they seem."""
    nameless = sum(not case.patient_id for case in cases)
    if nameless:
        logger.warning(
            "%d of %d cases name no patient; each counts as a patient of its own, so that one "
            "person may be in several splits",
            nameless,
            len(cases),
        )
    elif len(cases) >= SUSPICIOUSLY_MANY and len({case.patient_id for case in cases}) == 1:
        logger.warning(
            "all %d cases name the same patient, as archives do whose ids were blanked; they all "
            "are in one split",
            len(cases),
        )


def _warn_of_slices(cases: Sequence[HospitalCase]) -> None:
    """Say where a volume was listed slice by slice, and falls apart."""
    torn = [case.row for case in cases if _is_torn(case)]
    if torn:
        logger.warning(
            "%d cases, the first in row %d, list single slices of one series, and each becomes a "
            "scan of its own; for one volume, name their folder in one row",
            len(torn),
            torn[0],
        )


def _tell_of_pictures(cases: Sequence[HospitalCase]) -> None:
    """Say how folders of pictures are read."""
    rows = [
        scan.row
        for case in cases
        for scan in case.scans
        if scan.row is not None
        and len(scan.files or ()) > 1
        and all(file.suffix.lower() in PICTURE_SUFFIXES for file in scan.files or ())
    ]
    if rows:
        logger.warning(
            "%d rows, the first of them row %d, name folders of pictures: of each folder they are "
            "the slices of one scan, or, of radiographs, scans of their own; --stack-pictures and "
            "--no-stack-pictures choose",
            len(rows),
            rows[0],
        )


def _is_torn(case: HospitalCase) -> bool:
    files = [scan.path for scan in case.scans if scan.files is None]
    if len(files) < 2:
        return False
    told = (first_hospital_tags([file]) for file in islice(files, SLICES_LOOKED_AT))
    series = Counter(tags.slice_of for tags in told if tags is not None and tags.slice_of)
    return any(count > 1 for count in series.values())
