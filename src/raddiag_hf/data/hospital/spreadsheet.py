"""Spreadsheets: the cells of an XLSX file as text, as its CSV would have them."""

import re
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_MOST_BYTES = 2**28
_BUILT_IN_DATES = frozenset({*range(14, 23), *range(45, 48)})
_DATE_CODE = re.compile(r"[ymd]", re.IGNORECASE)
_QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')

SPREADSHEET_ERRORS = (
    zipfile.BadZipFile, ElementTree.ParseError, KeyError, ValueError, IndexError, OverflowError,
    RuntimeError,
)  # fmt: skip
"""What a damaged, encrypted or foreign file raises."""

Rows = list[tuple[int, list[str]]]


def read_sheets(path: Path) -> Iterator[Rows]:
    """Yield, for each visible sheet, number and cells of its rows.

    Whole numbers are written without decimals, dates as ``YYYY-MM-DD``, truth as 1 and 0. Formulas
    count as what they gave.

    Raises:
        zipfile.BadZipFile, ...: One of `SPREADSHEET_ERRORS`.
        OSError: If it cannot be opened.

    Source:
        Office Open XML, ECMA-376 part 1, 18.2 to 18.8.
    """
    with zipfile.ZipFile(path) as archive:
        book = _parse(archive, "xl/workbook.xml")
        targets = {
            one.get("Id"): one.get("Target", "")
            for one in _parse(archive, "xl/_rels/workbook.xml.rels")
        }
        properties = book.find(f"{_MAIN}workbookPr")
        is_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        names = set(archive.namelist())
        texts = _shared_texts(archive) if "xl/sharedStrings.xml" in names else []
        dates = _date_styles(archive) if "xl/styles.xml" in names else set()
        for sheet in book.iter(f"{_MAIN}sheet"):
            if sheet.get("state", "visible") != "visible":
                continue
            target = targets[sheet.get(_RELATION)]
            part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
            yield [
                _row(element, texts, dates, is_1904)
                for element in _parse(archive, part).iter(f"{_MAIN}row")
            ]


def _parse(archive: zipfile.ZipFile, part: str) -> ElementTree.Element:
    info = archive.getinfo(part)
    if info.file_size > _MOST_BYTES:
        raise ValueError(f"{part} is larger than {_MOST_BYTES} bytes")
    with archive.open(info) as stream:
        return ElementTree.fromstring(stream.read(_MOST_BYTES))


def _shared_texts(archive: zipfile.ZipFile) -> list[str]:
    root = _parse(archive, "xl/sharedStrings.xml")
    return [_text(item) for item in root.iter(f"{_MAIN}si")]


def _text(item: ElementTree.Element) -> str:
    """Return a text of one or several runs, without the phonetic hints beside them."""
    runs = [item, *item.findall(f"{_MAIN}r")]
    return "".join(text.text or "" for run in runs for text in run.findall(f"{_MAIN}t"))


def _date_styles(archive: zipfile.ZipFile) -> set[int]:
    root = _parse(archive, "xl/styles.xml")
    codes = {
        int(one.get("numFmtId", 0)): _QUOTED.sub("", one.get("formatCode", ""))
        for one in root.iter(f"{_MAIN}numFmt")
    }
    formats = root.find(f"{_MAIN}cellXfs")
    chosen = [int(one.get("numFmtId", 0)) for one in (formats if formats is not None else ())]
    return {
        style
        for style, number in enumerate(chosen)
        if number in _BUILT_IN_DATES or _DATE_CODE.search(codes.get(number, ""))
    }


def _row(
    element: ElementTree.Element, texts: list[str], dates: set[int], is_1904: bool
) -> tuple[int, list[str]]:
    cells: list[str] = []
    for cell in element.findall(f"{_MAIN}c"):
        column = _column(cell.get("r", "")) if cell.get("r") else len(cells)
        cells += [""] * (column + 1 - len(cells))
        cells[column] = _value(cell, texts, dates, is_1904)
    return int(element.get("r", 0)), cells


def _column(reference: str) -> int:
    number = 0
    for letter in re.match("[A-Z]*", reference)[0]:  # type: ignore[index]  # matches always
        number = 26 * number + ord(letter) - ord("A") + 1
    if not 1 <= number <= 2**14:
        raise ValueError(f"no cell is called {reference!r}")
    return number - 1


def _value(cell: ElementTree.Element, texts: list[str], dates: set[int], is_1904: bool) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        inline = cell.find(f"{_MAIN}is")
        return "" if inline is None else _text(inline)
    value = cell.findtext(f"{_MAIN}v", "")
    if kind == "s":
        return texts[int(value)]
    if kind != "n" or not value:
        return value
    number = float(value)
    if int(cell.get("s", 0)) in dates:
        start = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 30)
        return (start + timedelta(days=number)).date().isoformat()
    return str(int(number)) if number.is_integer() else repr(number)
