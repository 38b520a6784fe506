"""What a report is made of: one record per kind of section, in the order of the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.inference.explanation import Explanation


@dataclass(frozen=True)
class CaseSection:
    """One diagnosed case with its pictures.

    Attributes:
        title: What to call the case; no patient identifier.
        diagnosis: The answer.
        scans: The scans that were diagnosed, in the order of ``diagnosis.scans``.
        known_labels: What the case is known to show, where that is known.
        explanation: Where the answer comes from, of the same scans; None where nobody looked.
    """

    title: str
    diagnosis: Diagnosis
    scans: Sequence[Scan]
    known_labels: Sequence[str] = ()
    explanation: Explanation | None = None


@dataclass(frozen=True)
class FigureSection:
    """One drawing.

    Attributes:
        title: Heading.
        png: The picture.
        description: What it shows, for those who do not see it.
        caption: What to take from it.
    """

    title: str
    png: bytes
    description: str
    caption: str = ""


@dataclass(frozen=True)
class TableSection:
    """One table of text; columns other than the first are set right-aligned.

    Attributes:
        title: Heading.
        columns: Heads of the columns.
        rows: Cells, one row as long as ``columns``.
        caption: What to take from it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class TextSection:
    """A few paragraphs.

    Attributes:
        title: Heading.
        paragraphs: Plain text.
    """

    title: str
    paragraphs: Sequence[str]


Section = CaseSection | FigureSection | TableSection | TextSection
