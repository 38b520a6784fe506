"""Views: a diagnosis and its explanation as plain sections of a report, drawn and worded."""

from collections.abc import Sequence

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.diagnosis import (
    Diagnosis,
    Finding,
    Provenance,
    ScanContribution,
    TrainingDistance,
)
from raddiag_hf.inference.explain.explanation import Explanation, ScanExplanation
from raddiag_hf.inference.explain.overlays import legend_picture, overlay_picture
from raddiag_hf.model.scan_resampling import source_slice
from raddiag_hf.reports.pictures import STRIP_TILES, filmstrip, picture_uri, slice_picture
from raddiag_hf.reports.sections import (
    CaseSection,
    ExplainedScan,
    ExplanationPart,
    FindingRow,
    OverlayPair,
    ScanCard,
    ScanHeading,
    signed,
)
from raddiag_hf.vocabulary import Anatomy, Plane

PICTURE_PIXELS = 360
"""Longer side of a slice among others of its scan."""

LARGEST_PICTURE_PIXELS = 560
"""Longer side of the only slice that is shown of a scan."""

HEADLINE_FINDINGS = 3


def case_section(
    title: str,
    diagnosis: Diagnosis,
    scans: Sequence[Scan],
    known_labels: Sequence[str] = (),
    explanation: Explanation | None = None,
) -> CaseSection:
    """Draw and word one case.

    Args:
        title: What to call the case; no patient identifier.
        diagnosis: The answer.
        scans: The scans that were diagnosed, in the order of ``diagnosis.scans``.
        known_labels: What the case is known to show, where that is known.
        explanation: Where the answer comes from, of the same scans; None where nobody looked.

    Raises:
        ValueError: If scans, contributions or explanations of scans differ in number.
    """
    pairs = sorted(zip(scans, diagnosis.scans, strict=True), key=lambda pair: -pair[1].share)
    rows = [_finding_row(finding) for finding in diagnosis.findings]
    return CaseSection(
        title=title,
        known_labels=known_labels,
        headline=[row for row in rows if row.is_predicted][:HEADLINE_FINDINGS] or rows[:1],
        findings=rows,
        thresholds=threshold_statement(diagnosis),
        modalities=list(dict.fromkeys(scan.modality for scan in diagnosis.scans)),
        scans=[_scan_card(scan, contribution) for scan, contribution in pairs],
        warnings=diagnosis.warnings,
        explanation=None if explanation is None else explanation_part(explanation, scans),
        provenance={
            **_provenance_facts(diagnosis.provenance),
            "Trained on": domain_statement(diagnosis),
        },
    )


def explanation_part(explanation: Explanation, scans: Sequence[Scan]) -> ExplanationPart:
    """Draw and word one explanation.

    Raises:
        ValueError: If scans and explanations of scans differ in number.
    """
    pairs = sorted(
        zip(scans, explanation.scans, strict=True), key=lambda pair: -pair[1].contribution.share
    )
    return ExplanationPart(
        label=explanation.label,
        legend=picture_uri(legend_picture()),
        scans=[_explained_scan(scan, explained) for scan, explained in pairs],
    )


def threshold_statement(diagnosis: Diagnosis) -> str:
    """Say what the probabilities are to be compared with."""
    if diagnosis.has_exclusive_labels:
        return (
            f"A case has exactly one of the {diagnosis.label_count:,} labels: the most probable is "
            "predicted."
        )
    if diagnosis.predicted_count is None:
        return (
            "This model carries no thresholds: probabilities rank the findings, and no value of "
            "theirs, 0.5 included, tells present from absent."
        )
    number = diagnosis.predicted_count or "None"
    verb = "reaches its" if diagnosis.predicted_count == 1 else "reach their"
    if diagnosis.predicted_count == 0:
        verb = "reaches its"
    return f"{number} of {diagnosis.label_count:,} labels {verb} threshold."


def domain_statement(diagnosis: Diagnosis) -> str:
    """Say what the model was trained on."""
    if diagnosis.domain is None:
        return "the model does not say, so that nothing tells whether it ever saw scans like these"
    distance = diagnosis.domain.training_distance
    told = "" if distance is None else f"; distance to these: {distance_statement(distance)}"
    return f"{diagnosis.domain.trained_on}, numbers of scans{told}"


def distance_statement(distance: TrainingDistance) -> str:
    """Say how far a case lies from those of the training."""
    return (
        f"{distance.distance:.3g}, limit {distance.limit:.3g} "
        f"(p = {distance.p_value:.2g}, by {distance.num_validation_cases} validation cases)"
    )


def effect_statement(scan: ScanContribution) -> str:
    """Say what a scan did to the logit of the leading finding."""
    if scan.effect is None:
        return "the only scan"
    if round(scan.effect, 2) == 0:
        return "hardly any effect on the logit"
    direction = "for" if scan.effect > 0 else "against"
    return f"{signed(scan.effect)} logit, speaks {direction} it"


def slice_statement(scan: ScanContribution) -> str:
    """Say how many slices the model saw, and which of them it looked at most."""
    if scan.source_slices == 1:
        return "one picture"
    text = f"{scan.source_slices} slices"
    if scan.encoded_slices < scan.source_slices:
        text = f"{scan.encoded_slices} of {text}"
    if scan.key_slice is not None and scan.encoded_slices > 1:
        text += f", most attention on {scan.key_slice + 1}"
    return text


def _finding_row(finding: Finding) -> FindingRow:
    return FindingRow(
        finding.label, finding.probability, finding.threshold, bool(finding.predicted)
    )


def _scan_heading(part: ScanContribution) -> ScanHeading:
    return ScanHeading(
        modality=part.modality,
        anatomy="" if part.anatomy == Anatomy.UNKNOWN else part.anatomy,
        plane="" if part.plane == Plane.UNKNOWN else part.plane,
        source_slices=part.source_slices,
        share=None if part.effect is None else part.share,
        is_against=part.effect is not None and part.effect < 0,
    )


def _scan_card(scan: Scan, part: ScanContribution) -> ScanCard:
    encoded = part.encoded_slices
    shown = part.key_slice
    if shown is None:  # the middle one, where the encoder has no attention over slices
        shown = source_slice(encoded // 2, part.source_slices, encoded)
    strip, tiles = filmstrip(scan, encoded) if part.source_slices > 1 else ("", 0)
    return ScanCard(
        heading=_scan_heading(part),
        scan_id=part.scan_id,
        picture=slice_picture(scan, shown, longest_pixels=480),
        thumbnail=slice_picture(scan, shown, longest_pixels=88),
        picture_slice=shown + 1,
        strip=strip,
        strip_percent=100 * tiles / STRIP_TILES,
        profile=_percent_of_largest(part.slice_attention or ()) if strip else (),
        bar_width=_bar_width(encoded),
        effect=effect_statement(part),
        slices=slice_statement(part),
    )


def _explained_scan(scan: Scan, explained: ScanExplanation) -> ExplainedScan:
    part = explained.contribution
    is_deep = part.source_slices > 1 and part.encoded_slices > 1
    return ExplainedScan(
        heading=_scan_heading(part),
        attention_share=explained.attention_share,
        cautions=_map_cautions(explained),
        overlays=[_overlay_pair(scan, explained, index) for index in explained.key_slices],
        attention=_percent_of_largest(part.slice_attention or ()) if is_deep else (),
        profile=_percent_of_largest(explained.profile) if is_deep else (),
        bar_width=_bar_width(part.encoded_slices),
    )


def _map_cautions(explained: ScanExplanation) -> list[str]:
    if explained.peak is None:
        return ["The map is empty: no part of this scan raises the score more than another."]
    if explained.saliency.gain <= 0:
        return [
            "This scan does not raise the score over a black one: the map only compares its parts "
            "with each other."
        ]
    return []


def _overlay_pair(scan: Scan, explained: ScanExplanation, index: int) -> OverlayPair:
    is_alone = len(explained.key_slices) == 1
    pixels = LARGEST_PICTURE_PIXELS if is_alone else PICTURE_PIXELS
    depth = explained.contribution.source_slices
    return OverlayPair(
        picture=slice_picture(scan, index, pixels),
        overlay=picture_uri(overlay_picture(scan, explained.saliency.values, index, pixels)),
        name=f"Slice {index + 1} of {depth}" if depth > 1 else "The picture",
        reason=explained.why_shown(index),
    )


def _provenance_facts(provenance: Provenance) -> dict[str, str]:
    facts = {"Model": provenance.model_id}
    if provenance.model_revision:
        facts["Commit"] = provenance.model_revision[:12]
    if provenance.threshold_source:
        facts["Thresholds"] = provenance.threshold_source
    facts["Computed"] = (
        f"{provenance.created_at[:16].replace('T', ' ')} UTC, in {provenance.seconds:.2f} s "
        f"on {provenance.device}, {provenance.dtype}"
    )
    versions = (f"{package} {version}" for package, version in provenance.versions.items())
    return facts | {"Versions": ", ".join(versions)}


def _bar_width(encoded_slices: int) -> float:
    """Return the width of a bar, where slices are 1 apart: few slices have slim bars."""
    return min(0.8, encoded_slices / 10)


def _percent_of_largest(heights: Sequence[float]) -> tuple[float, ...]:
    largest = max(heights, default=0.0)
    return tuple(100 * height / largest for height in heights) if largest > 0 else ()
