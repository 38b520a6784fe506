"""Read and check the tables and folders that publishers ship beside their images."""

import csv
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from raddiag_hf.data.publishers.source import DataSourceError

_MORE = "values beyond the header"
_LEFT_BY_FILE_MANAGERS = {"thumbs.db", "desktop.ini"}


def read_table(
    path: Path, columns: Collection[str], *, filled: Collection[str] = ()
) -> list[dict[str, str]]:
    """Return the rows of a CSV file that has at least ``columns``.

    Args:
        path: The file.
        columns: Those that it must have.
        filled: Those of them in which no row may be empty.

    Raises:
        DataSourceError: If it is missing, not CSV in UTF-8, lacks a column or has no row; or a row
            ends early, has more values than the header has columns, or says nothing in ``filled``.
    """
    if not path.is_file():
        raise DataSourceError(path, "", "a CSV file", "no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey=_MORE)
            header = reader.fieldnames or []
            for column in columns:
                if column not in header:
                    listed = ", ".join(name for name in header if name)
                    raise DataSourceError(path, f"column {column!r}", "a column", listed or "none")
            rows: list[dict[str, str]] = []
            for row in reader:
                _check_row(path, f"row {len(rows) + 1}", row, filled)
                rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataSourceError(path, "", "CSV in UTF-8", str(error)) from None
    if not rows:
        raise DataSourceError(path, "rows", "at least one", "none")
    return rows


def _check_row(
    path: Path, name: str, row: Mapping[str, str | None], filled: Collection[str]
) -> None:
    if any(row.get(_MORE) or ()):
        raise DataSourceError(path, name, "as many values as columns", "more")
    for column, value in row.items():
        if value is None and column:
            raise DataSourceError(path, f"{name}: {column}", "a value", "the end of the row")
    for column in filled:
        if not (row[column] or "").strip():
            raise DataSourceError(path, f"{name}: {column}", "a value", "nothing")


def list_folder(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted, without what file managers leave in it."""
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _LEFT_BY_FILE_MANAGERS
    )


def check_files(files: Iterable[Path], listed_in: Path) -> None:
    """Check that all files are there; each folder is listed once.

    Raises:
        DataSourceError: With the number of missing files and the first of them.
    """
    by_folder: dict[Path, set[str]] = {}
    missing: list[Path] = []
    total = 0
    for file in files:
        if file.parent not in by_folder:
            folder = file.parent
            by_folder[folder] = (
                {entry.name for entry in os.scandir(folder) if entry.is_file()}
                if folder.is_dir()
                else set()
            )
        total += 1
        if file.name not in by_folder[file.parent]:
            missing.append(file)
    if missing:
        raise DataSourceError(
            listed_in,
            "files",
            f"all {total} files that it lists",
            f"{len(missing)} missing, the first is {missing[0]}",
        )
