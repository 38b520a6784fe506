"""The manifest of hospital data: which rows make up a case, and what they may not contradict."""

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from raddiag_hf.data.hospital.case import HospitalCase, HospitalScan
from raddiag_hf.data.hospital.folders import list_files
from raddiag_hf.data.hospital.manifest_rows import Faults, ManifestRow, read_manifest_rows
from raddiag_hf.data.hospital.tags import age_at, first_hospital_tags
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.label_names import label_key
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
        path: CSV (comma, semicolon or tab) or XLSX with a header: `REQUIRED_COLUMNS`, any of
            `OPTIONAL_COLUMNS` and, in place of ``labels``, a column of 1, 0 and nothing per label.
        label_set: The labels that may occur; None allows all.

    Raises:
        ManifestError: If it is no such table, a value is not one of its column's, a label is not in
            ``label_set``, rows contradict each other, a case has a label that is unknown too, or
            only ``unknown_labels`` name a label; it names all faults of the cells.
        OSError: If it cannot be read.
    """
    faults = Faults(path)
    rows = _with_one_spelling(read_manifest_rows(path, faults), label_set)
    _check_paths(faults, rows)
    _check_label_names(faults, rows, label_set)
    by_case: dict[str, list[ManifestRow]] = {}
    for row in rows:
        by_case.setdefault(row.case_id, []).append(row)
    cases = [_case(faults, of_case) for of_case in by_case.values()]
    if not faults.are_in("path"):
        _check_links(faults, cases)
    if not faults.are_in("split"):
        _check_splits(faults, cases)
    faults.raise_any()
    return cases


def _with_one_spelling(
    rows: Sequence[ManifestRow], label_set: LabelSet | None
) -> list[ManifestRow]:
    """Spell labels that differ in Unicode form or spaces as the label set, or the first row, does.

    Of a column per label that no case has, no more is known without a label set than its name.
    """
    spelling = {} if label_set is None else {label_key(name): name for name in label_set.names}

    def spelt(labels: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(spelling.setdefault(label_key(label), label) for label in labels)

    spelt_rows = [
        replace(row, labels=spelt(row.labels), unknown_labels=spelt(row.unknown_labels))
        for row in rows
    ]
    if label_set is not None or not any(row.is_labelled for row in rows):
        return spelt_rows
    named = {label for row in spelt_rows for label in row.labels}
    return [
        replace(row, unknown_labels=tuple(one for one in row.unknown_labels if one in named))
        for row in spelt_rows
    ]


def _check_paths(faults: Faults, rows: Sequence[ManifestRow]) -> None:
    """Refuse files that two rows name: they would count twice, perhaps in two splits."""
    paths = [Path(os.path.realpath(faults.path.parent / row.path)) for row in rows]
    seen: dict[Path, int] = {}
    for row, path in zip(rows, paths, strict=True):
        if path in seen:
            faults.add(row.number, "path", f"is the path of row {seen[path]} too")
        seen[path] = row.number
    for row, path in zip(rows, paths, strict=True):
        for folder in path.parents:
            if folder in seen:
                faults.add(row.number, "path", f"lies in the path of row {seen[folder]}")
                break


def _check_links(faults: Faults, cases: Sequence[HospitalCase]) -> None:
    """Refuse folders that share files by links."""
    seen: dict[str, int | None] = {}
    for scan in (scan for case in cases for scan in case.scans):
        for file in scan.all_files():
            first = seen.setdefault(os.path.realpath(file), scan.row)
            if first != scan.row:
                faults.add(scan.row or 0, "path", f"holds a link to a file of row {first}")


def _check_label_names(
    faults: Faults, rows: Sequence[ManifestRow], label_set: LabelSet | None
) -> None:
    spellings: dict[str, tuple[str, int]] = {}
    named = {label for row in rows for label in row.labels}
    for row, column in product(rows, _LABEL_COLUMNS):
        for label in getattr(row, column):
            if label_set is not None and label not in label_set.label2id:
                found = f"{label!r} is not one of the {len(label_set)} labels"
                faults.add(row.number, column, found)
            spelling, first = spellings.setdefault(label.casefold(), (label, row.number))
            if spelling != label:
                found = f"{label!r} is spelt {spelling!r} in row {first}"
                faults.add(row.number, column, found)
            if label_set is None and label not in named:
                found = f"{label!r} is not in column labels of any row"
                faults.add(row.number, column, found)


def _case(faults: Faults, rows: Sequence[ManifestRow]) -> HospitalCase:
    """Return the case of its rows; each may leave open what another says."""
    said_by: dict[str, ManifestRow] = {}
    for row in rows:
        for column in _CASE_COLUMNS:
            value = getattr(row, column)
            is_denied = column == "labels" and row.is_labelled
            if value in (None, "", ()) and not is_denied:
                continue
            first = said_by.setdefault(column, row)
            expected = getattr(first, column)
            if sorted(value) != sorted(expected) if column in _LABEL_COLUMNS else value != expected:
                quoted = "" if column in _PRIVATE_COLUMNS else f" ({value!s} and {expected!s})"
                faults.add(
                    row.number,
                    column,
                    f"contradicts row {first.number} of the same case{quoted}",
                )
    labels = said_by["labels"].labels if "labels" in said_by else ()
    unknown = said_by["unknown_labels"].unknown_labels if "unknown_labels" in said_by else ()
    if both := sorted(set(labels).intersection(unknown)):
        row = said_by["unknown_labels"]
        found = f"names {both[0]!r}, which column labels says the case has"
        faults.add(row.number, "unknown_labels", found)
    patient_id = said_by["patient_id"].patient_id if "patient_id" in said_by else ""
    age = said_by["age"].age if "age" in said_by else None
    sex = said_by["sex"].sex if "sex" in said_by else None
    scans = tuple(_scan(faults, row) for row in rows)
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
        is_labelled=any(row.is_labelled for row in rows),
    )


def _scan(faults: Faults, row: ManifestRow) -> HospitalScan:
    path = Path(faults.path.parent, row.path)
    if os.sep == "/" and "\\" in row.path and not os.path.lexists(path):
        faults.add(
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


def _check_splits(faults: Faults, cases: Sequence[HospitalCase]) -> None:
    given = {case.split for case in cases if case.split is not None}
    seen: dict[str, HospitalCase] = {}
    for case in cases:
        row = case.row or 0
        if case.split is None:
            if len(given) == len(Split):
                faults.add(row, "split", "is empty, while other rows fill all splits")
        elif case.patient_id:
            first = seen.setdefault(case.patient_id, case)
            if first.split != case.split:
                faults.add(
                    row,
                    "split",
                    f"is {case.split}, but row {first.row} has the same patient in {first.split}",
                )
