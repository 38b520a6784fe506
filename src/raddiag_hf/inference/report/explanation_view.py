"""An explanation made ready for the page: heat maps drawn, profiles laid out, words chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.explain.explanation import Explanation, ScanExplanation
from raddiag_hf.inference.explain.overlays import legend_picture, overlay_picture
from raddiag_hf.reports.pictures import picture_uri, slice_picture

PICTURE_PIXELS = 360
LARGEST_PICTURE_PIXELS = 560


@dataclass(frozen=True)
class OverlayView:
    """One slice, without and with its heat map.

    Attributes:
        picture: The slice, a data URI.
        overlay: The same with the map.
        name: Which slice.
        reason: Why it is shown, in words; may be empty.
    """

    picture: str
    overlay: str
    name: str
    reason: str


@dataclass(frozen=True)
class ScanExplanationView:
    """One scan's part of the explanation.

    Attributes:
        explained: What is shown.
        overlays: Its key slices, the most telling one first.
        attention: Attention of each encoded slice, the largest being 100; empty for a picture.
        profile: How high the map rises in each encoded slice, likewise.
        bar_width: Width of a bar of attention, where slices are 1 apart.
    """

    explained: ScanExplanation
    overlays: tuple[OverlayView, ...]
    attention: tuple[float, ...]
    profile: tuple[float, ...]
    bar_width: float

    @property
    def profile_points(self) -> str:
        """The outline of the map's profile as SVG writes points, one unit per slice."""
        inner = [f"{index + 0.5:g},{100 - height:.1f}" for index, height in enumerate(self.profile)]
        first, last = 100 - self.profile[0], 100 - self.profile[-1]
        return " ".join([f"0,{first:.1f}", *inner, f"{len(self.profile)},{last:.1f}"])


@dataclass(frozen=True)
class ExplanationView:
    """The explanation of a case.

    Attributes:
        label: What is explained.
        legend: The colours from none to high, a data URI.
        scans: The largest share first.
    """

    label: str
    legend: str
    scans: tuple[ScanExplanationView, ...]


def view_explanation(explanation: Explanation, scans: Sequence[Scan]) -> ExplanationView:
    """Draw and word one explanation.

    Raises:
        ValueError: If scans and explanations of scans differ in number.
    """
    pairs = zip(scans, explanation.scans, strict=True)
    views = [_view_scan(scan, explained) for scan, explained in pairs]
    return ExplanationView(
        label=explanation.label,
        legend=picture_uri(legend_picture()),
        scans=tuple(sorted(views, key=lambda view: -view.explained.contribution.share)),
    )


def _view_scan(scan: Scan, explained: ScanExplanation) -> ScanExplanationView:
    part = explained.contribution
    is_deep = part.source_slices > 1 and part.encoded_slices > 1
    return ScanExplanationView(
        explained=explained,
        overlays=tuple(_view_slice(scan, explained, index) for index in explained.key_slices),
        attention=_percent(part.slice_attention or ()) if is_deep else (),
        profile=_percent(explained.profile) if is_deep else (),
        bar_width=min(0.8, part.encoded_slices / 10),  # few slices: slim bars rather than blocks
    )


def _view_slice(scan: Scan, explained: ScanExplanation, index: int) -> OverlayView:
    is_alone = len(explained.key_slices) == 1
    pixels = LARGEST_PICTURE_PIXELS if is_alone else PICTURE_PIXELS
    depth = explained.contribution.source_slices
    return OverlayView(
        picture=slice_picture(scan, index, pixels),
        overlay=picture_uri(overlay_picture(scan, explained.saliency.values, index, pixels)),
        name=f"Slice {index + 1} of {depth}" if depth > 1 else "The picture",
        reason=explained.why_shown(index),
    )


def _percent(heights: Sequence[float]) -> tuple[float, ...]:
    largest = max(heights, default=0.0)
    return tuple(100 * height / largest for height in heights) if largest > 0 else ()
