"""Read and check the tables and folders that publishers ship beside their images."""

import csv
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from raddiag_hf.data.builder_error import DataSourceError
from raddiag_hf.data.case import MAX_AGE_YEARS
from raddiag_hf.vocabulary import Sex

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(y|m|w|d|)", re.IGNORECASE)
_UNITS_PER_YEAR = {"": 1.0, "y": 1.0, "m": 12.0, "w": 52.18, "d": 365.25}
_SEXES = {"f": Sex.FEMALE, "w": Sex.FEMALE, "female": Sex.FEMALE, "m": Sex.MALE, "male": Sex.MALE}


def read_table(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV file that has at least ``columns``.

    Raises:
        DataSourceError: If it is missing, not CSV in UTF-8, lacks a column or has no row.
    """
    if not path.is_file():
        raise DataSourceError(path, "", "a CSV file", "no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            header = reader.fieldnames or []
            for column in columns:
                if column not in header:
                    listed = ", ".join(name for name in header if name)
                    raise DataSourceError(path, f"column {column!r}", "a column", listed or "none")
            rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataSourceError(path, "", "CSV in UTF-8", str(error)) from None
    if not rows:
        raise DataSourceError(path, "rows", "at least one", "none")
    return rows


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
                {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
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


def parse_age(text: str) -> float | None:
    """Return an age in years: ``"58"``, ``"058Y"``, ``"13 years"``, ``"6 months"``.

    None where it says nothing, or more than a person can be (CXR14 has 411).
    """
    match = _AGE.match(text.strip())
    if match is None:
        return None
    years = float(match[1]) / _UNITS_PER_YEAR[match[2].lower()]
    return years if years <= MAX_AGE_YEARS else None


def parse_sex(text: str) -> Sex | None:
    """Return the sex of ``"F"``, ``"male"``, ``"w"`` and the like; None where it says nothing."""
    return _SEXES.get(text.strip().lower())
