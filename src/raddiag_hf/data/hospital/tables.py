"""Tables as people save them: comma, semicolon and tab, UTF-8 and UTF-16, or an XLSX sheet."""

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from raddiag_hf.data.hospital.case import ManifestError
from raddiag_hf.data.hospital.spreadsheet import SPREADSHEET_ERRORS, Rows, read_sheets

_DELIMITERS = (",", ";", "\t")
_ZIP, _OLD_EXCEL = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


def read_table(path: Path, is_header: Callable[[Sequence[str]], bool]) -> Rows:
    """Read number and stripped cells of each row that is not blank, the header first.

    Rows are counted as a spreadsheet does. Columns without a name and without a cell, such as
    Excel leaves behind, are dropped, and so is an unnamed column that counts the rows.

    Args:
        path: The table.
        is_header: Tells whether a row is the expected header: chooses delimiter and sheet.

    Raises:
        ManifestError: If it is none of these, or rows are longer or shorter than the header.
        OSError: If it cannot be read.
    """
    with path.open("rb") as stream:
        start = stream.read(4)
    if start == _OLD_EXCEL:
        raise ManifestError(f"{path}: is an Excel file of before 2007; save it as XLSX or CSV")
    rows = _spreadsheet(path, is_header) if start == _ZIP else _text_table(path, start, is_header)
    rows = [(number, [cell.strip() for cell in cells]) for number, cells in rows]
    rows = [(number, cells) for number, cells in rows if any(cells)]
    return _without_nameless_columns(path, rows)


def _spreadsheet(path: Path, is_header: Callable[[Sequence[str]], bool]) -> Rows:
    try:
        sheets = [sheet for sheet in read_sheets(path) if any(any(cells) for _, cells in sheet)]
    except SPREADSHEET_ERRORS as error:
        raise ManifestError(
            f"{path}: is not an XLSX table that can be read ({type(error).__name__}); save it as "
            "CSV UTF-8"
        ) from None
    fitting = [sheet for sheet in sheets if is_header(_first(sheet))]
    if len(fitting) > 1:
        raise ManifestError(f"{path}: {len(fitting)} of its sheets are such a table, expected one")
    rows = (fitting or sheets or [[]])[0]
    width = max((len(cells) for _, cells in rows), default=0)
    return [(number, cells + [""] * (width - len(cells))) for number, cells in rows]


def _first(rows: Rows) -> list[str]:
    return next((cells for _, cells in rows if any(cells)), [])


def _text_table(path: Path, start: bytes, is_header: Callable[[Sequence[str]], bool]) -> Rows:
    encoding, name = ("utf-16", "UTF-16") if start[:2] in _UTF_16 else ("utf-8-sig", "UTF-8")
    try:
        with path.open(newline="", encoding=encoding) as file:
            lines = file.readlines()
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}: is not {name} text (byte {error.start}); save it as CSV UTF-8"
        ) from None
    skipped = 0
    delimiters: Sequence[str] = _DELIMITERS
    if lines and (told := _SEPARATOR_LINE.fullmatch(lines[0])):
        skipped, delimiters = 1, (told[1],)
    try:
        delimiter = _delimiter(lines[skipped:], delimiters, is_header)
        reader = csv.reader(lines[skipped:], delimiter=delimiter, strict=True)
        return list(enumerate(reader, skipped + 1))
    except csv.Error as error:
        raise ManifestError(f"{path}: is not CSV: {error}") from None


def _delimiter(
    lines: Sequence[str], delimiters: Sequence[str], is_header: Callable[[Sequence[str]], bool]
) -> str:
    """Return the first delimiter that makes a header of the first line."""
    line = next((line for line in lines if line.strip(" \t\r\n,;")), "")
    for delimiter in delimiters:
        if is_header(next(csv.reader([line], delimiter=delimiter), [])):
            return delimiter
    return delimiters[0]


def _without_nameless_columns(path: Path, rows: Rows) -> Rows:
    if not rows:
        return []
    header = rows[0][1]
    for number, cells in rows[1:]:
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise ManifestError(
                f"{path}: row {number}: has {len(cells)} cells, expected {len(header)} as in the "
                "header"
            )
    nameless = {
        column
        for column, name in enumerate(header)
        if (not name and not any(cells[column] for _, cells in rows))
        or (name in ("", "Unnamed: 0") and _counts([cells[column] for _, cells in rows[1:]]))
    }
    kept = [column for column in range(len(header)) if column not in nameless]
    return [(number, [cells[column] for column in kept]) for number, cells in rows]


def _counts(cells: Sequence[str]) -> bool:
    """Tell whether a column only counts the rows, from 0 or 1."""
    return bool(cells) and any(
        list(cells) == [str(first + row) for row in range(len(cells))] for first in (0, 1)
    )
