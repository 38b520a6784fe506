"""The manifest of hospital data: a CSV with a row for each scan, or folder of scans, of a case."""

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from raddiag_hf.data.case import MAX_AGE_YEARS
from raddiag_hf.data.hospital_case import HospitalCase, HospitalDataError, HospitalScan
from raddiag_hf.data.hospital_folders import list_files
from raddiag_hf.data.hospital_tags import age_at, first_hospital_tags, parse_date
from raddiag_hf.knowledge.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Sex, Split

REQUIRED_COLUMNS = ("case_id", "path")
OPTIONAL_COLUMNS = (
    "patient_id",
    "modality",
    "anatomy",
    "labels",
    "split",
    "age",
    "sex",
    "date",
)
LABEL_SEPARATOR = ";"

_CASE_COLUMNS = ("patient_id", "labels", "split", "age", "sex")
"""Columns that say one thing of a case, whichever of its rows says it."""
_PRIVATE_COLUMNS = frozenset({"case_id", "patient_id", "path", "date", "age"})
"""Columns whose values error messages do not repeat."""
_SEXES = {"f": Sex.FEMALE, "m": Sex.MALE, "o": Sex.OTHER} | {sex.lower(): sex for sex in Sex}

Value = TypeVar("Value")


class ManifestError(HospitalDataError):
    """A manifest that contradicts itself or cannot be understood: which row and column, and why."""


@dataclass(frozen=True)
class _Row:
    """One line of a manifest, its cells parsed; None and empty where the manifest says nothing."""

    number: int
    case_id: str
    path: str
    patient_id: str
    modality: Modality | None
    anatomy: Anatomy | None
    labels: tuple[str, ...]
    split: Split | None
    age: float | None
    sex: Sex | None
    date: date | None


class _Manifest:
    """The file that errors are about."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def error(self, row: int, column: str, found: str) -> ManifestError:
        return ManifestError(f"{self.path}: row {row}, column {column}: {found}")

    def parse(
        self, row: int, cells: Mapping[str, str], column: str, parse: Callable[[str], Value]
    ) -> Value | None:
        """Return what a cell means; None where it is empty or the column absent."""
        text = cells.get(column, "")
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(row, column, str(error)) from None


def read_manifest(path: Path, label_set: LabelSet | None = None) -> list[HospitalCase]:
    """Read the cases of a manifest, in order of their first rows.

    What the manifest leaves open of patient, age and sex is taken from the tags of the case's
    first DICOM file. Rows are counted as a spreadsheet does: the header is row 1.

    Args:
        path: CSV, UTF-8, with a header; `REQUIRED_COLUMNS` and any of `OPTIONAL_COLUMNS`.
        label_set: The labels that may occur; None allows all.

    Raises:
        ManifestError: If it is no such CSV, a value is not one of its column's, a label is not in
            ``label_set``, or rows contradict each other.
        OSError: If it cannot be read.
    """
    manifest = _Manifest(path)
    rows = [_parse_row(manifest, number, cells) for number, cells in _read_cells(manifest)]
    if not rows:
        raise ManifestError(f"{path}: has no row below its header")
    _check_paths(manifest, rows)
    _check_label_names(manifest, rows, label_set)
    by_case: dict[str, list[_Row]] = {}
    for row in rows:
        by_case.setdefault(row.case_id, []).append(row)
    cases = [_case(manifest, of_case) for of_case in by_case.values()]
    _check_splits(manifest, cases)
    return cases


def _read_cells(manifest: _Manifest) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the cells of each row that is not blank, stripped, by column."""
    columns: list[str] = []
    try:
        with manifest.path.open(newline="", encoding="utf-8-sig") as file:
            for number, values in enumerate(csv.reader(file, strict=True), start=1):
                cells = [value.strip() for value in values]
                if not columns:
                    _check_columns(manifest, cells)
                    columns = cells
                elif any(cells):
                    if len(cells) != len(columns):
                        raise ManifestError(
                            f"{manifest.path}: row {number}: has {len(cells)} cells, expected "
                            f"{len(columns)} as in the header"
                        )
                    yield number, dict(zip(columns, cells, strict=True))
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{manifest.path}: is not UTF-8 text (byte {error.start}); save it as CSV UTF-8"
        ) from None
    except csv.Error as error:
        raise ManifestError(f"{manifest.path}: is not CSV: {error}") from None
    if not columns:
        raise ManifestError(f"{manifest.path}: is empty, expected a header with case_id and path")


def _check_columns(manifest: _Manifest, columns: Sequence[str]) -> None:
    known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    if missing := [column for column in REQUIRED_COLUMNS if column not in columns]:
        raise ManifestError(
            f"{manifest.path}: row 1: has no column {missing[0]}; expected a comma-separated "
            f"header of {', '.join(REQUIRED_COLUMNS)} and any of {', '.join(OPTIONAL_COLUMNS)}"
        )
    if unknown := [column for column in columns if column not in known]:
        raise ManifestError(
            f"{manifest.path}: row 1: column {unknown[0]!r} is not one of {', '.join(known)}"
        )
    if twice := [column for column in known if columns.count(column) > 1]:
        raise ManifestError(f"{manifest.path}: row 1: column {twice[0]} is there twice")


def _parse_row(manifest: _Manifest, number: int, cells: Mapping[str, str]) -> _Row:
    for column in REQUIRED_COLUMNS:
        if not cells[column]:
            raise manifest.error(number, column, "is empty")
    if "\0" in cells["path"]:
        raise manifest.error(number, "path", "holds a character that no path has")
    return _Row(
        number=number,
        case_id=cells["case_id"],
        path=cells["path"],
        patient_id=cells.get("patient_id", ""),
        modality=manifest.parse(number, cells, "modality", Modality.parse),
        anatomy=manifest.parse(number, cells, "anatomy", Anatomy.parse),
        labels=manifest.parse(number, cells, "labels", _parse_labels) or (),
        split=manifest.parse(number, cells, "split", _parse_split),
        age=manifest.parse(number, cells, "age", _parse_age),
        sex=manifest.parse(number, cells, "sex", _parse_sex),
        date=manifest.parse(number, cells, "date", _parse_date),
    )


def _parse_labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(LABEL_SEPARATOR))
    labels = tuple(label for label in labels if label)
    if len(set(labels)) < len(labels):
        raise ValueError("names a label twice")
    if any(len(label.splitlines()) > 1 for label in labels):
        raise ValueError("a label must be one line")
    return labels


def _parse_split(text: str) -> Split:
    if text.lower() not in list(Split):
        raise ValueError(f"is {text!r}, expected one of {', '.join(Split)}")
    return Split(text.lower())


def _parse_age(text: str) -> float:
    try:
        age = float(text)
    except ValueError:
        age = -1.0
    if not 0 <= age <= MAX_AGE_YEARS:
        raise ValueError(f"expected years, a number from 0 to {MAX_AGE_YEARS:g}")
    return age


def _parse_sex(text: str) -> Sex:
    if text.lower() not in _SEXES:
        raise ValueError(f"is {text!r}, expected F, M or O, or {', '.join(Sex)}")
    return _SEXES[text.lower()]


def _parse_date(text: str) -> date:
    found = parse_date(text)
    if found is None:
        raise ValueError("expected a date as YYYY-MM-DD or YYYYMMDD")
    return found


def _check_paths(manifest: _Manifest, rows: Sequence[_Row]) -> None:
    """Refuse files that two rows name: they would count twice, perhaps in two splits."""
    paths = [Path(os.path.abspath(manifest.path.parent / row.path)) for row in rows]
    seen: dict[Path, int] = {}
    for row, path in zip(rows, paths, strict=True):
        if path in seen:
            raise manifest.error(row.number, "path", f"is the path of row {seen[path]} too")
        seen[path] = row.number
    for row, path in zip(rows, paths, strict=True):
        for folder in path.parents:
            if folder in seen:
                raise manifest.error(row.number, "path", f"lies in the path of row {seen[folder]}")


def _check_label_names(
    manifest: _Manifest, rows: Sequence[_Row], label_set: LabelSet | None
) -> None:
    spellings: dict[str, tuple[str, int]] = {}
    for row in rows:
        for label in row.labels:
            if label_set is not None and label not in label_set.label2id:
                raise manifest.error(
                    row.number, "labels", f"{label!r} is not one of the {len(label_set)} labels"
                )
            spelling, first = spellings.setdefault(label.casefold(), (label, row.number))
            if spelling != label:
                raise manifest.error(
                    row.number, "labels", f"{label!r} is spelt {spelling!r} in row {first}"
                )


def _case(manifest: _Manifest, rows: Sequence[_Row]) -> HospitalCase:
    """Return the case of its rows; each may leave open what another says."""
    said_by: dict[str, _Row] = {}
    for row in rows:
        for column in _CASE_COLUMNS:
            value = getattr(row, column)
            if value in (None, "", ()):
                continue
            first = said_by.setdefault(column, row)
            expected = getattr(first, column)
            if sorted(value) != sorted(expected) if column == "labels" else value != expected:
                quoted = "" if column in _PRIVATE_COLUMNS else f" ({value!s} and {expected!s})"
                raise manifest.error(
                    row.number,
                    column,
                    f"contradicts row {first.number} of the same case{quoted}",
                )
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
        labels=said_by["labels"].labels if "labels" in said_by else (),
        split=said_by["split"].split if "split" in said_by else None,
        age=age,
        sex=sex,
        row=rows[0].number,
    )


def _scan(manifest: _Manifest, row: _Row) -> HospitalScan:
    path = Path(manifest.path.parent, row.path)
    return HospitalScan(
        path=path,
        files=list_files(path) if path.is_dir() else None,
        row=row.number,
        modality=row.modality,
        anatomy=row.anatomy,
    )


def _check_splits(manifest: _Manifest, cases: Sequence[HospitalCase]) -> None:
    given = {case.split for case in cases if case.split is not None}
    seen: dict[str, HospitalCase] = {}
    for case in cases:
        row = case.row or 0
        if case.split is None:
            if len(given) == len(Split):
                raise manifest.error(row, "split", "is empty, while other rows fill all splits")
        elif case.patient_id:
            first = seen.setdefault(case.patient_id, case)
            if first.split != case.split:
                raise manifest.error(
                    row,
                    "split",
                    f"is {case.split}, but row {first.row} has the same patient in {first.split}",
                )
