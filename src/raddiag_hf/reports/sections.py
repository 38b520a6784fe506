"""What a report is made of: one record per kind of section, in the order of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.diagnosis import Diagnosis
from raddiag_hf.inference.explain.explanation import Explanation


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
        rows: Cells, one row as long as ``columns``. What follows a line break in a cell is set
            small below it.
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


@dataclass(frozen=True)
class HeadlineNumber:
    """One number that is read before everything else.

    Attributes:
        name: What it is.
        value: The number.
        note: Its interval, or what it is taken over.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class HeadlineSection:
    """The answer in ten seconds: a few numbers, and what has to be known to read them.

    Attributes:
        numbers: The first is set largest.
        statements: Sentences below them.
        warnings: What the reader must not miss.
    """

    numbers: Sequence[HeadlineNumber]
    statements: Sequence[str] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class GalleryFigure:
    """One of several drawings, for light and for dark pages.

    Attributes:
        title: Heading.
        light_svg: The drawing in ink on no ground.
        dark_svg: The same for a dark page.
        description: What it shows, for those who do not see it.
        caption: How to read it.
    """

    title: str
    light_svg: bytes
    dark_svg: bytes
    description: str
    caption: str = ""


@dataclass(frozen=True)
class GallerySection:
    """Drawings of column width, in as many columns as the page has room for.

    Attributes:
        title: Heading.
        figures: In reading order, column by column.
    """

    title: str
    figures: Sequence[GalleryFigure]


@dataclass(frozen=True)
class FactsSection:
    """Small print: where everything above comes from.

    Attributes:
        facts: Text by name.
    """

    facts: Mapping[str, str]


Section = (
    CaseSection
    | FigureSection
    | TableSection
    | TextSection
    | HeadlineSection
    | GallerySection
    | FactsSection
)
