"""Chapters of ICD-10-CM: which labels belong together, by the letters of their codes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHAPTERS = {
    "A00-B99": "Infectious and parasitic diseases",
    "C00-D49": "Neoplasms",
    "D50-D89": "Blood and immune mechanism",
    "E00-E89": "Endocrine, nutritional and metabolic diseases",
    "F01-F99": "Mental and neurodevelopmental disorders",
    "G00-G99": "Nervous system",
    "H00-H59": "Eye and adnexa",
    "H60-H95": "Ear and mastoid process",
    "I00-I99": "Circulatory system",
    "J00-J99": "Respiratory system",
    "K00-K95": "Digestive system",
    "L00-L99": "Skin and subcutaneous tissue",
    "M00-M99": "Musculoskeletal system and connective tissue",
    "N00-N99": "Genitourinary system",
    "O00-O9A": "Pregnancy, childbirth and the puerperium",
    "P00-P96": "Perinatal period",
    "Q00-QA0": "Congenital malformations",
    "R00-R99": "Symptoms and abnormal findings",
    "S00-T88": "Injury, poisoning and other external causes",
    "U00-U85": "Codes for special purposes",
    "V00-Y99": "External causes of morbidity",
    "Z00-Z99": "Factors influencing health status",
}
"""First and last category -> title, shortened.

Source:
    Tabular list of ICD-10-CM 2025, National Center for Health Statistics.
"""


def chapter_of(code: str) -> str | None:
    """Return the chapter of a code, such as ``"C00-D49"`` for ``D33.2``; None where it has none."""
    category = code.strip().upper()[:3]
    if len(category) < 3:
        return None
    for chapter in CHAPTERS:
        first, last = chapter.split("-")
        if first <= category <= last:
            return chapter
    return None


def chapter_columns(codes: Sequence[str]) -> "dict[str, NDArray[np.intp]]":
    """Return the columns of each chapter that has a label, in the order of the classification.

    They are groups over which metrics are averaged.

    Args:
        codes: ICD-10-CM code of each label, ``""`` where it has none.
    """
    import numpy as np

    found = np.array([chapter_of(code) for code in codes], dtype=object)
    columns = {chapter: np.flatnonzero(found == chapter) for chapter in CHAPTERS}
    return {chapter: members for chapter, members in columns.items() if len(members)}
