"""Names of pictures: which of a folder are slices of one scan, and which are of several patients.

Pictures say nothing of patient and series; how their files and folders are numbered does.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from raddiag_hf.vocabulary import Modality

SINGLE_PICTURES = frozenset({Modality.XRAY, Modality.MAMMOGRAPHY, Modality.ANNOTATED_IMAGE})
"""What makes pictures that are views, each a scan of its own, rather than slices."""

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})

_NUMBER = re.compile("([0-9]+)")
_PERSON = re.compile(
    r"(?:^|[^a-z])(?:p|pt|pat|patient|patientin|patients|subj|subject|sub|case|person|pid|mrn)"
    r"[^a-z0-9]*$",
    re.IGNORECASE,
)
_FEWEST_DIGITS = 3
"""Digits of a folder's name that count patients; series are numbered 1, 2, 3."""


def split_by_name(paths: Sequence[Path]) -> list[list[Path]]:
    """Return the pictures of each series in one folder: ``axial_1, axial_2``, ``sagittal_1, ...``.

    Names without a common pattern are of one series.
    """
    series: dict[str, list[Path]] = {}
    for path in paths:
        series.setdefault(_NUMBER.sub("#", path.stem).lower(), []).append(path)
    if len(series) > 1 and all(len(members) > 1 for members in series.values()):
        return list(series.values())
    return [list(paths)]


def names_of_patients(folder: Path, pictures: Iterable[Path]) -> tuple[str, str] | None:
    """Return the names of two files or folders that are of two patients; None without any.

    They say so by a word and two numbers (``patient1, patient2``, ``sub-01, sub-02``), by folders
    numbered as patients are (``049, 050``), or by one number of a file that counts on with each
    value of another one (``049_1, 049_2, 050_1``).

    Args:
        folder: What was named as one case.
        pictures: Files below it.
    """
    levels: dict[tuple[int, str], dict[str, list[str]]] = {}
    for picture in pictures:
        parts = picture.relative_to(folder).parts if picture != folder else (picture.name,)
        for depth, part in enumerate(parts):
            is_file = depth == len(parts) - 1
            name = Path(part).stem if is_file else part
            pattern = _NUMBER.sub("#", name).lower()
            key = (-1 if is_file else depth, pattern if depth == 0 else f"{parts[0]}/{pattern}")
            levels.setdefault(key, {}).setdefault(name, _NUMBER.split(name))
    for (depth, _), names in levels.items():
        if (pair := _two_patients(names, is_file=depth < 0)) is not None:
            return pair
    return None


def _two_patients(names: dict[str, list[str]], *, is_file: bool) -> tuple[str, str] | None:
    """Look at names of one pattern: texts and, between them, numbers."""
    rows = list(names.items())
    num_columns = len(rows[0][1]) // 2
    columns = [[parts[2 * column + 1] for _, parts in rows] for column in range(num_columns)]
    varying = [column for column in range(num_columns) if len(set(columns[column])) > 1]
    if not varying:
        return None
    first = varying[0]
    before = rows[0][1][2 * first]
    is_person = bool(_PERSON.search(before))
    counts = list(columns[first])
    if is_file:
        is_counted_on = len(varying) > 1 and all(
            len(set(columns[column])) < len(rows) for column in varying
        )
        is_several = is_person or (is_counted_on and not before and first == 0)
    else:
        digits = {len(value) for value in counts}
        is_number = not before and num_columns == 1 and not rows[0][1][2]
        is_several = is_person or (is_number and len(digits) == 1 and min(digits) >= _FEWEST_DIGITS)
    if not is_several:
        return None
    other = next(index for index, value in enumerate(counts) if value != counts[0])
    return rows[0][0], rows[other][0]
