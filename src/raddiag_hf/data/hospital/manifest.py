"""The manifest of hospital data: which rows make up a case, and what they may not contradict."""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from raddiag_hf.data.hospital.case import HospitalCase, HospitalScan
from raddiag_hf.data.hospital.folders import list_files
from raddiag_hf.data.hospital.manifest_rows import ManifestRow, manifest_error, read_manifest_rows
from raddiag_hf.data.hospital.tags import age_at, first_hospital_tags
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split

_LABEL_COLUMNS = ("labels", "unknown_labels")
_CASE_COLUMNS = ("patient_id", *_LABEL_COLUMNS, "split", "age", "sex")
"""Columns that say one thing of a case, whichever of its rows says it."""
_PRIVATE_COLUMNS = frozenset({"patient_id", "age"})
"""Columns whose values error messages do not repeat."""


def read_manifest(path: Path, label_set: LabelSet | None = None) -> list[HospitalCase]:
    """Read the cases of a manifest, in order of their first rows.

    What the manifest leaves open of patient, age and sex is taken from the tags of the case's
    first DICOM file. Rows are counted as a spreadsheet does: the header is row 1.

    Args:
        path: CSV, UTF-8, with a header; `REQUIRED_COLUMNS` and any of `OPTIONAL_COLUMNS`.
        label_set: The labels that may occur; None allows all.

    Raises:
        ManifestError: If it is no such CSV, a value is not one of its column's, a label is not in
            ``label_set``, rows contradict each other, a case has a label that is unknown too, or
            only ``unknown_labels`` name a label.
        OSError: If it cannot be read.
    """
    rows = read_manifest_rows(path)
    _check_paths(path, rows)
    _check_label_names(path, rows, label_set)
    by_case: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_case.setdefault(row.case_id, []).append(row)
    cases = [_case(path, of_case) for of_case in by_case.values()]
    _check_links(path, cases)
    _check_splits(path, cases)
    return cases


def _check_paths(manifest: Path, rows: Sequence[ManifestRow]) -> None:
    """Refuse files that two rows name: they would count twice, perhaps in two splits."""
    paths = [Path(os.path.realpath(manifest.parent / row.path)) for row in rows]
    seen: dict[Path, int] = {}
    for row, path in zip(rows, paths, strict=True):
        if path in seen:
            raise manifest_error(
                manifest, row.number, "path", f"is the path of row {seen[path]} too"
            )
        seen[path] = row.number
    for row, path in zip(rows, paths, strict=True):
        for folder in path.parents:
            if folder in seen:
                raise manifest_error(
                    manifest, row.number, "path", f"lies in the path of row {seen[folder]}"
                )


def _check_links(manifest: Path, cases: Sequence[HospitalCase]) -> None:
    """Refuse folders that share files by links."""
    seen: dict[str, int | None] = {}
    for scan in (scan for case in cases for scan in case.scans):
        for file in scan.all_files():
            first = seen.setdefault(os.path.realpath(file), scan.row)
            if first != scan.row:
                raise manifest_error(
                    manifest, scan.row or 0, "path", f"holds a link to a file of row {first}"
                )


def _check_label_names(
    manifest: Path, rows: Sequence[ManifestRow], label_set: LabelSet | None
) -> None:
    spellings: dict[str, tuple[str, int]] = {}
    named = {label for row in rows for label in row.labels}
    for row, column in product(rows, _LABEL_COLUMNS):
        for label in getattr(row, column):
            if label_set is not None and label not in label_set.label2id:
                found = f"{label!r} is not one of the {len(label_set)} labels"
                raise manifest_error(manifest, row.number, column, found)
            spelling, first = spellings.setdefault(label.casefold(), (label, row.number))
            if spelling != label:
                found = f"{label!r} is spelt {spelling!r} in row {first}"
                raise manifest_error(manifest, row.number, column, found)
            if label_set is None and label not in named:
                found = f"{label!r} is not in column labels of any row"
                raise manifest_error(manifest, row.number, column, found)


def _case(manifest: Path, rows: Sequence[ManifestRow]) -> HospitalCase:
    """Return the case of its rows; each may leave open what another says."""
    said_by: dict[str, ManifestRow] = {}
    for row in rows:
        for column in _CASE_COLUMNS:
            value = getattr(row, column)
            if value in (None, "", ()):
                continue
            first = said_by.setdefault(column, row)
            expected = getattr(first, column)
            if sorted(value) != sorted(expected) if column in _LABEL_COLUMNS else value != expected:
                quoted = "" if column in _PRIVATE_COLUMNS else f" ({value!s} and {expected!s})"
                raise manifest_error(
                    manifest,
                    row.number,
                    column,
                    f"contradicts row {first.number} of the same case{quoted}",
                )
    labels = said_by["labels"].labels if "labels" in said_by else ()
    unknown = said_by["unknown_labels"].unknown_labels if "unknown_labels" in said_by else ()
    if both := sorted(set(labels).intersection(unknown)):
        row = said_by["unknown_labels"]
        found = f"names {both[0]!r}, which column labels says the case has"
        raise manifest_error(manifest, row.number, "unknown_labels", found)
    patient_id = said_by["patient_id"].patient_id if "patient_id" in said_by else ""
    age = said_by["age"].age if "age" in said_by else None
    sex = said_by["sex"].sex if "sex" in said_by else None
    scans = tuple(_scan(manifest, row) for row in rows)
    if not patient_id or age is None or sex is None:
        tags = first_hospital_tags(file for scan in scans for file in scan.all_files())
        if tags is not None:
            day = next((row.date for row in rows if row.date is not None), None)
            patient_id = patient_id or tags.patient_id
            age = next(
                (one for one in (age, age_at(tags.birth_date, day), tags.age) if one is not None),
                None,
            )
            sex = sex or tags.sex
    return HospitalCase(
        case_id=rows[0].case_id,
        patient_id=patient_id,
        scans=scans,
        labels=labels,
        unknown_labels=unknown,
        split=said_by["split"].split if "split" in said_by else None,
        age=age,
        sex=sex,
        row=rows[0].number,
    )


def _scan(manifest: Path, row: ManifestRow) -> HospitalScan:
    path = Path(manifest.parent, row.path)
    if os.sep == "/" and "\\" in row.path and not os.path.lexists(path):
        raise manifest_error(
            manifest,
            row.number,
            "path",
            "is not there; it has backslashes, as on Windows, where this system has /",
        )
    # Of a name that no file system allows, Path.is_dir raises instead of answering.
    return HospitalScan(
        path=path,
        files=list_files(path) if os.path.isdir(path) else None,
        row=row.number,
        modality=row.modality,
        anatomy=row.anatomy,
        study=row.study,
    )


def _check_splits(manifest: Path, cases: Sequence[HospitalCase]) -> None:
    given = {case.split for case in cases if case.split is not None}
    seen: dict[str, HospitalCase] = {}
    for case in cases:
        row = case.row or 0
        if case.split is None:
            if len(given) == len(Split):
                raise manifest_error(
                    manifest, row, "split", "is empty, while other rows fill all splits"
                )
        elif case.patient_id:
            first = seen.setdefault(case.patient_id, case)
            if first.split != case.split:
                raise manifest_error(
                    manifest,
                    row,
                    "split",
                    f"is {case.split}, but row {first.row} has the same patient in {first.split}",
                )
