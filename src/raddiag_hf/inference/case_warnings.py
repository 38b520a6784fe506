"""Warnings: what a reader of a diagnosis should know about scans and labels before trusting it."""

from collections.abc import Collection, Sequence

from raddiag_hf.imaging.decisions import DecisionKind
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.labels.open_labels import open_labels_of
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

DOUBTFUL_DECISIONS = {
    DecisionKind.MISSING_SLICES: "slices are missing; the model saw those that exist",
    DecisionKind.UNREADABLE_SLICES: "some slices do not decode; the model saw the others",
    DecisionKind.ORDERED_WITHOUT_POSITIONS: (
        "the files do not tell where the slices lie; they are in the order of their numbers"
    ),
    DecisionKind.NON_UNIFORM_SPACING: "the slices are not equally far apart",
    DecisionKind.TRANSFER_SYNTAX_GUESSED: "the file does not name its encoding; it was inferred",
    DecisionKind.MODALITY_OVERRIDDEN: "the file names another modality than the caller",
    DecisionKind.ANATOMY_OVERRIDDEN: "the file names another anatomy than the caller",
}
"""Decisions of the readers that may change what the model sees, in words."""

FEWEST_PIXELS = 64
"""Height and width below which a picture can hardly show a finding: a thumbnail."""


def warn_about_scans(scans: Sequence[Scan]) -> list[str]:
    """Return one sentence for each doubt about a scan, free of patient identifiers."""
    warnings = []
    for scan in scans:
        doubts = [
            text for kind, text in DOUBTFUL_DECISIONS.items() if kind in _decision_kinds(scan)
        ]
        height, width = scan.volume.shape[1:]
        if min(height, width) < FEWEST_PIXELS:
            doubts.append(f"it has only {height} x {width} pixels")
        if scan.volume.min() == scan.volume.max():
            doubts.append("every pixel is the same, so it tells the model nothing")
        warnings += [f"{scan.scan_id}: {doubt}." for doubt in doubts]
    return warnings


def warn_about_labels(model: RadDiagForImageClassification, shown: Collection[str]) -> list[str]:
    """Return one sentence for each shown label that the model knows by its name alone.

    Args:
        model: With any classifier; only a knowledge classifier can have such labels.
        shown: Labels that the reader is about to see.
    """
    found = open_labels_of(model)
    return [
        f"{found.warning(label) if label.is_far else str(label)}."
        for label in found.labels
        if label.name in shown
    ]


def _decision_kinds(scan: Scan) -> set[object]:
    decisions = scan.provenance.get("decisions", ())
    if not isinstance(decisions, Sequence):
        return set()
    return {decision["kind"] for decision in decisions}
