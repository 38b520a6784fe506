"""Sections of a report: plain records of text, numbers and pictures; numbers in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DISCLAIMER = "Research software, not a medical device."


@dataclass(frozen=True)
class FindingRow:
    """One label with its probability.

    Attributes:
        label: The disorder.
        probability: In [0, 1].
        threshold: In [0, 1]; None in a table without thresholds.
        is_predicted: Whether the probability reaches the threshold.
    """

    label: str
    probability: float
    threshold: float | None
    is_predicted: bool


@dataclass(frozen=True)
class ScanHeading:
    """What a scan is and what it weighs, as every card about it begins.

    Attributes:
        modality: What made it.
        anatomy: The region that it shows; empty where nobody knows.
        plane: The plane of its slices; empty where nobody knows.
        source_slices: Slices of the scan as read, 1 for a picture.
        share: Part of the decision in [0, 1]; None for the only scan of a case.
        is_against: Whether it speaks against the leading finding.
    """

    modality: str
    anatomy: str
    plane: str
    source_slices: int
    share: float | None
    is_against: bool


@dataclass(frozen=True)
class ScanCard:
    """One scan's card. Pictures are data URIs.

    Attributes:
        heading: What it is.
        scan_id: Its name within the case; no patient identifier.
        picture: The slice that shows it best.
        thumbnail: The same, small.
        picture_slice: Which slice of the scan the picture shows, from 1.
        strip: Slices spread over the scan; empty for a scan of one slice.
        strip_percent: Width of strip and profile in percent of the card.
        profile: Attention of each encoded slice, the largest being 100; empty without a strip.
        bar_width: Width of a profile's bar, where slices are 1 apart.
        effect: What it did, in words.
        slices: How many slices, in words.
    """

    heading: ScanHeading
    scan_id: str
    picture: str
    thumbnail: str
    picture_slice: int
    strip: str
    strip_percent: float
    profile: Sequence[float]
    bar_width: float
    effect: str
    slices: str


@dataclass(frozen=True)
class OverlayPair:
    """One slice, without and with its heat map, as data URIs.

    Attributes:
        picture: The slice.
        overlay: The same with the map.
        name: Which slice.
        reason: Why it is shown, in words; may be empty.
    """

    picture: str
    overlay: str
    name: str
    reason: str


@dataclass(frozen=True)
class ExplainedScan:
    """One scan's heat maps.

    Attributes:
        heading: What it is.
        attention_share: Its part of the attention among scans, in [0, 1]; None without attention.
        cautions: What has to be known to read the map, in sentences.
        overlays: Its key slices, the most telling one first.
        attention: Attention of each encoded slice, the largest being 100; empty for a picture.
        profile: How high the map rises in each encoded slice, likewise.
        bar_width: Width of a bar of attention, where slices are 1 apart.
    """

    heading: ScanHeading
    attention_share: float | None
    cautions: Sequence[str]
    overlays: Sequence[OverlayPair]
    attention: Sequence[float]
    profile: Sequence[float]
    bar_width: float

    @property
    def profile_points(self) -> str:
        """The outline of the map's profile as SVG writes points, one unit per slice."""
        inner = [f"{index + 0.5:g},{100 - height:.1f}" for index, height in enumerate(self.profile)]
        first, last = 100 - self.profile[0], 100 - self.profile[-1]
        return " ".join([f"0,{first:.1f}", *inner, f"{len(self.profile)},{last:.1f}"])


@dataclass(frozen=True)
class ExplanationPart:
    """Where the answer for one label comes from.

    Attributes:
        label: What is explained.
        legend: The colours from none to high, a data URI.
        scans: The largest share first.
    """

    label: str
    legend: str
    scans: Sequence[ExplainedScan]


@dataclass(frozen=True)
class CaseSection:
    """One diagnosed case with its pictures.

    Attributes:
        title: What to call the case; no patient identifier. Empty where it needs no name.
        known_labels: What the case is known to show, where that is known.
        headline: The findings to name first.
        findings: All findings to show, the leading one first.
        thresholds: What the probabilities are to be compared with, in words.
        modalities: Modalities of the case, each once.
        scans: The largest share first.
        warnings: What a reader should know before trusting the answer.
        explanation: Where the answer comes from; None where nobody looked.
        provenance: What computed it, text by name.
    """

    title: str
    known_labels: Sequence[str]
    headline: Sequence[FindingRow]
    findings: Sequence[FindingRow]
    thresholds: str
    modalities: Sequence[str]
    scans: Sequence[ScanCard]
    warnings: Sequence[str]
    explanation: ExplanationPart | None
    provenance: Mapping[str, str]


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


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal.

    Tiny but not nothing is ``<0.1%``, and nearly but not quite all is ``>99.9%``.
    """
    if 0 < fraction < 0.001:
        return "<0.1%"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    return f"{fraction:.1%}"


def signed(number: float) -> str:
    """Return a number with two decimals, its sign a true minus; what rounds to zero has none."""
    if round(number, 2) == 0:
        return "0.00"
    return f"{number:+.2f}".replace("-", "−")
