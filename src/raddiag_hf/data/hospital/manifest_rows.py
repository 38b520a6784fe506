"""The rows of a manifest of hospital data: a CSV whose cells mean something or are refused."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from raddiag_hf.data.hospital.case import HospitalDataError
from raddiag_hf.data.hospital.tags import parse_date
from raddiag_hf.data.store.case import MAX_AGE_YEARS, parse_sex
from raddiag_hf.vocabulary import Anatomy, Modality, Sex, Split

REQUIRED_COLUMNS = ("case_id", "path")
OPTIONAL_COLUMNS = (
    "patient_id", "study", "modality", "anatomy", "labels", "unknown_labels", "split", "age", "sex",
    "date",
)  # fmt: skip
LABEL_SEPARATOR = ";"


Value = TypeVar("Value")


class ManifestError(HospitalDataError):
    """A manifest that contradicts itself or cannot be understood: which row and column, and why."""


@dataclass(frozen=True)
class ManifestRow:
    """One row of a manifest, its cells parsed; None or empty where the manifest says nothing.

    Attributes:
        number: As a spreadsheet counts: the header is row 1.
    """

    number: int
    case_id: str
    path: str
    patient_id: str
    study: str
    modality: Modality | None
    anatomy: Anatomy | None
    labels: tuple[str, ...]
    unknown_labels: tuple[str, ...]
    split: Split | None
    age: float | None
    sex: Sex | None
    date: date | None


def manifest_error(path: Path, row: int, column: str, found: str) -> ManifestError:
    """Return the error about one cell."""
    return ManifestError(f"{path}: row {row}, column {column}: {found}")


def read_manifest_rows(path: Path) -> list[ManifestRow]:
    """Read a manifest, row by row.

    Raises:
        ManifestError: If it is no CSV with these columns, has no row, or a value is not one of its
            column's.
        OSError: If it cannot be read.
    """
    rows = [_parse_row(path, number, cells) for number, cells in _read_cells(path)]
    if not rows:
        raise ManifestError(f"{path}: has no row below its header")
    return rows


def _read_cells(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number and the cells of each row that is not blank, stripped, by column."""
    columns: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, values in enumerate(csv.reader(file, strict=True), start=1):
                cells = [value.strip() for value in values]
                if not columns:
                    _check_columns(path, cells)
                    columns = cells
                elif any(cells):
                    if len(cells) != len(columns):
                        raise ManifestError(
                            f"{path}: row {number}: has {len(cells)} cells, expected "
                            f"{len(columns)} as in the header"
                        )
                    yield number, dict(zip(columns, cells, strict=True))
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: is not UTF-8 text (byte {error.start}); save it as CSV UTF-8"
        ) from None
    except csv.Error as error:
        raise ManifestError(f"{path}: is not CSV: {error}") from None
    if not columns:
        raise ManifestError(f"{path}: is empty, expected a header with case_id and path")


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    known = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
    if missing := [column for column in REQUIRED_COLUMNS if column not in columns]:
        raise ManifestError(
            f"{path}: row 1: has no column {missing[0]}; expected a comma-separated "
            f"header of {', '.join(REQUIRED_COLUMNS)} and any of {', '.join(OPTIONAL_COLUMNS)}"
        )
    if unknown := [column for column in columns if column not in known]:
        raise ManifestError(
            f"{path}: row 1: column {unknown[0]!r} is not one of {', '.join(known)}"
        )
    if twice := [column for column in known if columns.count(column) > 1]:
        raise ManifestError(f"{path}: row 1: column {twice[0]} is there twice")


def _parse_row(path: Path, number: int, cells: Mapping[str, str]) -> ManifestRow:
    for column in REQUIRED_COLUMNS:
        if not cells[column]:
            raise manifest_error(path, number, column, "is empty")
    if "\0" in cells["path"]:
        raise manifest_error(path, number, "path", "holds a character that no path has")
    return ManifestRow(
        number=number,
        case_id=cells["case_id"],
        path=cells["path"],
        patient_id=cells.get("patient_id", ""),
        study=cells.get("study", ""),
        modality=_parse_cell(path, number, cells, "modality", Modality.parse),
        anatomy=_parse_cell(path, number, cells, "anatomy", Anatomy.parse),
        labels=_parse_cell(path, number, cells, "labels", _parse_labels) or (),
        unknown_labels=_parse_cell(path, number, cells, "unknown_labels", _parse_labels) or (),
        split=_parse_cell(path, number, cells, "split", _parse_split),
        age=_parse_cell(path, number, cells, "age", _parse_age),
        sex=_parse_cell(path, number, cells, "sex", _parse_sex),
        date=_parse_cell(path, number, cells, "date", _parse_date),
    )


def _parse_cell(
    path: Path, row: int, cells: Mapping[str, str], column: str, parse: Callable[[str], Value]
) -> Value | None:
    """Return what a cell means; None where it is empty or the column absent."""
    text = cells.get(column, "")
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise manifest_error(path, row, column, str(error)) from None


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
    sex = parse_sex(text)
    if sex is None:
        raise ValueError(f"is {text!r}, expected F, M or O, or {', '.join(Sex)}")
    return sex


def _parse_date(text: str) -> date:
    found = parse_date(text)
    if found is None:
        raise ValueError("expected a date as YYYY-MM-DD or YYYYMMDD")
    return found
