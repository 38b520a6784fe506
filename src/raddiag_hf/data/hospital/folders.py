"""A folder of studies without a manifest: each study a case, patients from the DICOM tags."""

import os
from collections.abc import Iterator
from pathlib import Path

from datasets.utils import tqdm

from raddiag_hf.data.hospital.case import (
    NOT_DICOM,
    HospitalCase,
    HospitalDataError,
    HospitalScan,
    StrayFiles,
)
from raddiag_hf.data.hospital.tags import HospitalTags, hospital_tags
from raddiag_hf.imaging.dicom.header import read_dicom_header
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.formats import FileFormat, sniff_format
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError


def list_files(folder: Path) -> tuple[Path, ...]:
    """Return the files below a folder, relative to it, sorted.

    Links to folders are followed; a folder that several links lead to is listed once.

    Raises:
        OSError: If a folder cannot be listed.
    """
    return tuple(sorted(_walk(folder)))


def read_study_folder(folder: Path) -> tuple[list[HospitalCase], StrayFiles]:
    """Group the DICOM files below a folder by patient and study, wherever they lie.

    Each study of a patient that has a diagnostic image is a case. Files without
    ``StudyInstanceUID`` belong to those of their own folder. What is no diagnostic image, or not
    DICOM, belongs to no case.

    Raises:
        HospitalDataError: If there is no DICOM image.
        OSError: If a folder cannot be listed.
    """
    members: dict[str, list[Path]] = {}
    tags_of: dict[str, list[HospitalTags]] = {}
    strays: list[tuple[Path, str]] = []
    for file in tqdm(list_files(folder), unit="file", desc="Reading headers", disable=None):
        try:
            with only_scan_read_errors(folder / file, "the DICOM header", quote=False):
                if sniff_format(folder / file) is not FileFormat.DICOM:
                    strays.append((folder / file, NOT_DICOM))
                    continue
                tags = hospital_tags(read_dicom_header(folder / file, ReadLimits()).file)
        except ScanReadError as error:
            strays.append((folder / file, error.reason))
            continue
        study = tags.study or f"folder {file.parent}"
        # A study identity that two patients share is a mistake, and must not make them one.
        case_id = f"{tags.patient_id}\n{study}"
        members.setdefault(case_id, []).append(file)
        tags_of.setdefault(case_id, []).append(tags)
    if not members:
        raise HospitalDataError(
            f"{folder}: has no DICOM image among {len(strays)} files; other formats need a "
            "manifest that says which files are a case, or --class-folders where folders are labels"
        )
    cases = [
        HospitalCase(
            case_id=case_id,
            patient_id=tags_of[case_id][0].patient_id,
            scans=(HospitalScan(folder, tuple(files)),),
            age=next((tags.age for tags in tags_of[case_id] if tags.age is not None), None),
            sex=next((tags.sex for tags in tags_of[case_id] if tags.sex is not None), None),
        )
        for case_id, files in members.items()
    ]
    return cases, StrayFiles(tuple(strays))


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link back up, or a second one to the same place
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(parent, name).relative_to(folder) for name in names)
