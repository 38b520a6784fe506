"""The rows of a manifest of hospital data: a table whose cells mean something or are refused."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TypeVar

from raddiag_hf.data.hospital.case import ManifestError
from raddiag_hf.data.hospital.tables import read_table
from raddiag_hf.data.hospital.tags import parse_date
from raddiag_hf.data.store.case import MAX_AGE_YEARS, parse_age, parse_sex
from raddiag_hf.model.label_names import label_key
from raddiag_hf.vocabulary import Anatomy, Modality, Sex, Split

REQUIRED_COLUMNS = ("case_id", "path")
OPTIONAL_COLUMNS = (
    "patient_id", "study", "modality", "anatomy", "labels", "unknown_labels", "split", "age", "sex",
    "date",
)  # fmt: skip
LABEL_SEPARATOR = ";"

_KNOWN = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
_COLUMN_OF_KEY = {column.replace("_", ""): column for column in _KNOWN}
_LABEL_CELLS: dict[str, bool | None] = {
    **dict.fromkeys(("1", "1.0", "true", "yes"), True),
    **dict.fromkeys(("0", "0.0", "false", "no"), False),
    **dict.fromkeys(("", "-1", "-1.0", "nan", "na", "n/a"), None),
}
"""Cell of a column per label -> whether the case has it; -1 is how CheXpert says uncertain."""
_SURE_CELLS = frozenset(cell for cell, has_it in _LABEL_CELLS.items() if has_it is not None)
_MOST_TOLD = 20

logger = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True)
class ManifestRow:
    """One row of a manifest, its cells parsed; None or empty where the manifest says nothing.

    Attributes:
        number: As a spreadsheet counts: the header is row 1.
        is_labelled: It has one column per label: what it does not have was denied.
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
    is_labelled: bool = False


class Faults:
    """The faults of a manifest, gathered so that one run names them all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: list[tuple[int, str, str]] = []

    def add(self, row: int, column: str, found: str) -> None:
        """Note the fault of one cell."""
        self._found.append((row, column, found))

    def are_in(self, column: str) -> bool:
        """Tell whether a column has any."""
        return any(one == column for _, one, _ in self._found)

    def raise_any(self) -> None:
        """Raise what was noted, by row.

        Raises:
            ManifestError: If there is any fault.
        """
        ordered = sorted(self._found, key=lambda fault: fault[0])
        told = [f"row {row}, column {where}: {found}" for row, where, found in ordered]
        if told:
            more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
            raise ManifestError(f"{self.path}: {'; '.join(told[:_MOST_TOLD])}{more}")


def read_manifest_rows(path: Path, faults: Faults) -> list[ManifestRow]:
    """Read a manifest, row by row; cells that mean nothing are noted, and left empty.

    Raises:
        ManifestError: If it is no table with these columns, or has no row.
        OSError: If it cannot be read.
    """
    table = read_table(path, _is_header)
    if not table:
        raise ManifestError(f"{path}: is empty, expected a header with case_id and path")
    number, header = table[0]
    columns = [_known_name(name) or name for name in header]
    label_columns = _label_columns(columns, [cells for _, cells in table[1:]])
    _check_columns(path, number, columns, label_columns)
    if label_columns:
        names = ", ".join(columns[column] for column in label_columns[:_MOST_TOLD])
        more = ", ..." if len(label_columns) > _MOST_TOLD else ""
        logger.warning("columns of zeros and ones are read as labels: %s%s", names, more)
    rows = []
    for number, cells in table[1:]:
        row = _parse_row(faults, number, dict(zip(columns, cells, strict=True)))
        if row is not None and label_columns:
            told = {columns[column]: cells[column] for column in label_columns}
            row = _with_label_cells(row, told)
        if row is not None:
            rows.append(row)
    if len(table) == 1:
        raise ManifestError(f"{path}: has no row below its header")
    return rows


def _known_name(header: str) -> str | None:
    """Return the column that a header means: ``Case_ID``, ``case id`` and ``CaseID`` are one."""
    key = re.sub(r"[\s_\-]+", "", label_key(header)).casefold()
    return _COLUMN_OF_KEY.get(key)


def _is_header(cells: Sequence[str]) -> bool:
    return {_known_name(cell) for cell in cells}.issuperset(REQUIRED_COLUMNS)


def _label_columns(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the columns that say of each row whether it has the label of their name."""
    if "labels" in columns or "unknown_labels" in columns:
        return []
    chosen = []
    for column, name in enumerate(columns):
        cells = {row[column].lower() for row in rows}
        if name and name not in _KNOWN and cells <= _LABEL_CELLS.keys() and cells & _SURE_CELLS:
            chosen.append(column)
    return chosen


def _with_label_cells(row: ManifestRow, cells: Mapping[str, str]) -> ManifestRow:
    said = {name: _LABEL_CELLS[cell.lower()] for name, cell in cells.items()}
    return replace(
        row,
        labels=tuple(name for name, has_it in said.items() if has_it),
        unknown_labels=tuple(name for name, has_it in said.items() if has_it is None),
        is_labelled=any(has_it is not None for has_it in said.values()),
    )


def _check_columns(
    path: Path, row: int, columns: Sequence[str], label_columns: Sequence[int]
) -> None:
    if missing := [column for column in REQUIRED_COLUMNS if column not in columns]:
        raise ManifestError(
            f"{path}: row {row}: has no column {missing[0]}; expected a header, separated by "
            f"commas, semicolons or tabs, of {', '.join(REQUIRED_COLUMNS)} and any of "
            f"{', '.join(OPTIONAL_COLUMNS)}"
        )
    others = [name for number, name in enumerate(columns) if number not in label_columns]
    if unknown := [name for name in others if name not in _KNOWN]:
        more = f" (nor are {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise ManifestError(
            f"{path}: row {row}: column {unknown[0]!r} is not one of {', '.join(_KNOWN)}{more}; a "
            "column per label holds 1, 0 or, where nobody knows, nothing"
        )
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise ManifestError(f"{path}: row {row}: column {twice[0]} is there twice")


def _parse_row(faults: Faults, number: int, cells: Mapping[str, str]) -> ManifestRow | None:
    """Return what a row says; None where it does not say which file it is about."""
    missing = [column for column in REQUIRED_COLUMNS if not cells[column]]
    for column in missing:
        faults.add(number, column, "is empty")
    if "\0" in cells["path"]:
        faults.add(number, "path", "holds a character that no path has")
        missing.append("path")
    parse = partial(_parse_cell, faults, number, cells)
    row = ManifestRow(
        number=number,
        case_id=cells["case_id"],
        path=cells["path"],
        patient_id=cells.get("patient_id", ""),
        study=cells.get("study", ""),
        modality=parse("modality", Modality.parse),
        anatomy=parse("anatomy", Anatomy.parse),
        labels=parse("labels", _parse_labels) or (),
        unknown_labels=parse("unknown_labels", _parse_labels) or (),
        split=parse("split", _parse_split),
        age=parse("age", _parse_age),
        sex=parse("sex", _parse_sex),
        date=parse("date", _parse_date),
    )
    return None if missing else row


def _parse_cell(
    faults: Faults,
    row: int,
    cells: Mapping[str, str],
    column: str,
    parse: Callable[[str], Value],
) -> Value | None:
    """Return what a cell means; None where it is empty, the column absent, or it means nothing."""
    text = cells.get(column, "")
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        faults.add(row, column, str(error))
        return None


def _parse_labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(LABEL_SEPARATOR))
    labels = tuple(label for label in labels if label)
    if len({label_key(label) for label in labels}) < len(labels):
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
        age: float | None = float(text.replace(",", "."))
    except ValueError:
        age = parse_age(text)
    if age is None or not 0 <= age <= MAX_AGE_YEARS:
        raise ValueError(
            f"expected years, a number from 0 to {MAX_AGE_YEARS:g}, or as DICOM has it (067Y, 018M)"
        )
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
