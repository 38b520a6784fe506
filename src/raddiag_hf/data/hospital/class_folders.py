"""Folders that are labels: each file or folder in them is a case."""

import os
from collections.abc import Iterator
from pathlib import Path

from datasets.utils import tqdm

from raddiag_hf.data.hospital.case import (
    NO_CLASS,
    HospitalCase,
    HospitalDataError,
    HospitalScan,
    StrayFiles,
)
from raddiag_hf.data.hospital.folders import list_files
from raddiag_hf.data.hospital.tags import first_hospital_tags
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.formats import FileFormat, sniff_format
from raddiag_hf.imaging.scan import ScanReadError
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.label_names import label_key
from raddiag_hf.vocabulary import Split

_SPLIT_OF_NAME = {
    **dict.fromkeys(("train", "training"), Split.TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev"), Split.VALIDATION),
    **dict.fromkeys(("test", "testing"), Split.TEST),
}


def read_class_folders(
    folder: Path, label_set: LabelSet | None = None
) -> tuple[list[HospitalCase], StrayFiles]:
    """Read ``label/case`` or ``split/label/case`` below a folder.

    A case is a file, or a folder with all that lies in it. The DICOM files of one study that lie
    loose in a label's folder are one case. Files elsewhere, and what is no image, belong to none.

    Args:
        folder: The folder.
        label_set: The labels that may occur; None takes the names of all folders.

    Raises:
        HospitalDataError: If there is no case, or a folder is not one of the labels.
        OSError: If a folder cannot be listed.
    """
    strays: list[tuple[Path, str]] = []
    cases: list[HospitalCase] = []
    for label, split, below in _labels(folder, label_set):
        for case_id, scan in tqdm(
            list(_cases(below, strays)), unit="case", desc="Reading headers", disable=None
        ):
            tags = first_hospital_tags(scan.all_files())
            cases.append(
                HospitalCase(
                    case_id=f"{below.relative_to(folder)}/{case_id}",
                    patient_id="" if tags is None else tags.patient_id,
                    scans=(scan,),
                    labels=(label,),
                    split=split,
                    age=None if tags is None else tags.age,
                    sex=None if tags is None else tags.sex,
                    is_labelled=True,
                )
            )
    if not cases:
        raise HospitalDataError(
            f"{folder}: has no folders with cases in them, expected label/case or split/label/case"
        )
    return cases, StrayFiles(tuple(strays + _loose(folder, cases, strays)))


def _labels(folder: Path, label_set: LabelSet | None) -> Iterator[tuple[str, Split | None, Path]]:
    """Yield label, split and path of each folder that is a label."""
    known = {} if label_set is None else {label_key(name): name for name in label_set.names}
    top = _folders(folder)
    splits = [_SPLIT_OF_NAME.get(path.name.lower()) for path in top]
    has_splits = bool(top) and None not in splits
    for path, split in zip(top, splits, strict=True):
        for below in _folders(path) if has_splits else [path]:
            key = label_key(below.name)
            if label_set is not None and key not in known:
                raise HospitalDataError(
                    f"{below}: is not one of the {len(label_set)} labels; folders are labels here"
                )
            yield known.get(key, key), split if has_splits else None, below


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def _cases(label: Path, strays: list[tuple[Path, str]]) -> Iterator[tuple[str, HospitalScan]]:
    """Yield name and files of each case in the folder of a label."""
    studies: dict[str, list[Path]] = {}
    for path in sorted(label.iterdir()):
        if path.is_dir():
            if files := list_files(path):
                yield path.name, HospitalScan(path, files)
            continue
        try:
            with only_scan_read_errors(path, "the file", quote=False):
                file_format = sniff_format(path)
        except ScanReadError as error:
            strays.append((path, error.reason))
            continue
        if file_format is FileFormat.DICOM:
            tags = first_hospital_tags([path])
            study = "" if tags is None else f"{tags.patient_id}\n{tags.study}"
            studies.setdefault(study or path.name, []).append(Path(path.name))
        else:
            yield path.name, HospitalScan(path)
    for study, members in studies.items():
        yield f"study {study}", HospitalScan(label, tuple(members))


def _loose(
    folder: Path, cases: list[HospitalCase], strays: list[tuple[Path, str]]
) -> list[tuple[Path, str]]:
    """Return the files below a folder that belong to nothing."""
    taken = {os.fspath(path) for path, _ in strays}
    taken |= {os.fspath(file) for case in cases for scan in case.scans for file in scan.all_files()}
    files = (folder / file for file in list_files(folder))
    return [(file, NO_CLASS) for file in files if os.fspath(file) not in taken]
