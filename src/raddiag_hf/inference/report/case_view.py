"""A case section made ready for the page: pictures drawn, bars measured, words chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.case_packing import source_slice
from raddiag_hf.inference.diagnosis import Finding, ScanContribution
from raddiag_hf.inference.report.explanation_view import ExplanationView, view_explanation
from raddiag_hf.reports.pictures import STRIP_TILES, filmstrip, slice_picture
from raddiag_hf.reports.sections import CaseSection
from raddiag_hf.reports.wording import effect_statement, slice_statement, threshold_statement


@dataclass(frozen=True)
class ScanView:
    """One scan's card.

    Attributes:
        contribution: Its part in the decision.
        picture: The key slice (the middle one without attention), a data URI.
        thumbnail: The same, small.
        picture_slice: Which slice of the scan the picture shows, from 0.
        strip: Slices spread over the scan, a data URI; empty for a scan of one slice.
        strip_percent: Width of strip and profile in percent of the card.
        profile: Attention of each encoded slice, the largest being 100; empty without a strip.
        bar_width: Width of a profile's bar, where slices are 1 apart.
        effect: What it did, in words.
        slices: How many slices, in words.
    """

    contribution: ScanContribution
    picture: str
    thumbnail: str
    picture_slice: int
    strip: str
    strip_percent: float
    profile: tuple[float, ...]
    bar_width: float
    effect: str
    slices: str

    @property
    def is_against(self) -> bool:
        """Whether the scan speaks against the leading finding."""
        return self.contribution.effect is not None and self.contribution.effect < 0


@dataclass(frozen=True)
class CaseView:
    """One case on the page.

    Attributes:
        section: What was asked to be shown.
        headline: The findings to name first: those that reach their threshold, else the leading.
        thresholds: What the probabilities are to be compared with, in words.
        scans: Cards, the largest share first.
        modalities: Modalities of the case, each once.
        explanation: Where the answer comes from; None where nobody looked.
    """

    section: CaseSection
    headline: tuple[Finding, ...]
    thresholds: str
    scans: tuple[ScanView, ...]
    modalities: tuple[str, ...]
    explanation: ExplanationView | None


def view_case(section: CaseSection) -> CaseView:
    """Draw and word one case.

    Raises:
        ValueError: If scans and contributions differ in number.
    """
    diagnosis = section.diagnosis
    pairs = zip(section.scans, diagnosis.scans, strict=True)
    views = [_view_scan(scan, contribution) for scan, contribution in pairs]
    predicted = tuple(finding for finding in diagnosis.findings if finding.predicted)
    return CaseView(
        section=section,
        headline=predicted[:3] or diagnosis.findings[:1],
        thresholds=threshold_statement(diagnosis),
        scans=tuple(sorted(views, key=lambda view: -view.contribution.share)),
        modalities=tuple(dict.fromkeys(scan.modality for scan in diagnosis.scans)),
        explanation=None
        if section.explanation is None
        else view_explanation(section.explanation, section.scans),
    )


def _view_scan(scan: Scan, contribution: ScanContribution) -> ScanView:
    encoded = contribution.encoded_slices
    shown = contribution.key_slice
    if shown is None:
        shown = source_slice(encoded // 2, contribution.source_slices, encoded)
    strip, tiles = filmstrip(scan, encoded) if contribution.source_slices > 1 else ("", 0)
    return ScanView(
        contribution=contribution,
        picture=slice_picture(scan, shown, longest_pixels=480),
        thumbnail=slice_picture(scan, shown, longest_pixels=88),
        picture_slice=shown,
        strip=strip,
        strip_percent=100 * tiles / STRIP_TILES,
        profile=_relative(contribution.slice_attention or ()) if strip else (),
        bar_width=min(0.8, encoded / 10),  # few slices: slim bars rather than blocks
        effect=effect_statement(contribution),
        slices=slice_statement(contribution),
    )


def _relative(attention: Sequence[float]) -> tuple[float, ...]:
    largest = max(attention, default=0.0)
    return tuple(100 * weight / largest for weight in attention) if largest > 0 else ()
