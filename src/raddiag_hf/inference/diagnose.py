"""Diagnosis of one case: scans in, ranked findings, the part of each scan and warnings out."""

import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from raddiag_hf.checkpoints.loaded_model import check_label_texts, find_unreasonable
from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.core.package_versions import package_versions
from raddiag_hf.imaging.scan import Decision, DecisionKind, Scan, decisions_of
from raddiag_hf.inference.case import CaseError, CaseReading, as_case, pack_case
from raddiag_hf.inference.diagnosis import Diagnosis, Finding, Provenance
from raddiag_hf.inference.domain_check import check_domain, refuse_unseen_kinds
from raddiag_hf.inference.scan_shares import leave_one_out, scan_contributions
from raddiag_hf.labels.open_labels import open_labels_of
from raddiag_hf.model.exclusive_labels import most_probable, temper_log_odds
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

DOUBTFUL_DECISIONS = {
    DecisionKind.MISSING_SLICES: "slices are missing; the model saw those that exist",
    DecisionKind.UNREADABLE_SLICES: "some slices do not decode; the model saw the others",
    DecisionKind.ORDERED_WITHOUT_POSITIONS: (
        "the files do not tell where the slices lie; they are in the order of their numbers"
    ),
    DecisionKind.NON_UNIFORM_SPACING: "the slices are not equally far apart",
    DecisionKind.RESCALE_FILLED_IN: "slices that lost their rescale got that of the others",
    DecisionKind.FRAMES_RECOUNTED: "the file holds more frames than its header says",
    DecisionKind.PADDING_DOUBTED: "the file calls a value padding that its image also has",
    DecisionKind.TRANSFER_SYNTAX_GUESSED: "the file does not name its encoding; it was inferred",
    DecisionKind.MODALITY_OVERRIDDEN: "the file names another modality than the caller",
    DecisionKind.ANATOMY_OVERRIDDEN: "the file names another anatomy than the caller",
}
"""Decisions of the readers that may change what the model sees, in words."""

_RESCALE = frozenset({"RescaleSlope", "RescaleIntercept"})

FEWEST_PIXELS = 64
"""Height and width below which a picture can hardly show a finding: a thumbnail."""


def diagnose_case(
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
    scans: Sequence[Scan] | CaseReading,
    *,
    top: int = 10,
    model_id: str | None = None,
    model_revision: str | None = None,
    warnings: Sequence[str] = (),
    domain: TrainingDomain | None = None,
    strict: bool = False,
) -> Diagnosis:
    """Diagnose one case from all its scans.

    The part of each scan in the decision is measured by leaving it out: scans are encoded once,
    and the case is classified with all of them and again without each one. A scan's effect is the
    logit of the leading finding with it minus without it; its share is the size of its effect
    among the sizes of all effects. One scan alone has all of the share; scans without any effect
    share equally.

    Args:
        model: From `load_model` or ``from_pretrained``, in evaluation mode.
        processor: The model's own.
        scans: The case as `read_case` returns it, or its scans in any order, each of known
            modality; see `as_case`.
        top: How many findings to return, at least 1.
        model_id: What to call the model in the record; its folder or Hub id by default.
        model_revision: Its commit, where it has one.
        warnings: What was noticed before; files of the case that were left out, doubts about the
            scans, and labels that the model knows by name alone are added; scans unlike those of
            the training come first, and what the training itself warned of.
        domain: What the model was trained on, of `load_model`.
        strict: Refuse scans of a kind that the model never saw in training.

    Raises:
        UnseenKindError: If ``strict`` is asked for, and there is such a scan or no ``domain``.
        CaseError: As `as_case` and `pack_case` do, or if the model's answer is out of reason.
        LabelTextsMissingError: If the model has a knowledge classifier without label texts.
        ValueError: If ``top`` is below 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}, expected at least 1")
    check_label_texts(model, model_id)
    start = time.perf_counter()
    case = as_case(scans)
    if strict:
        refuse_unseen_kinds(domain, case.scans, model_id)
    batch = pack_case(model, processor, case.scans)
    with torch.inference_mode():
        encoded = model.encode_scans(batch["pixel_values"], batch["slice_counts"])
        logits = leave_one_out(model, encoded.scan_embeddings, batch["modality_slots"])
    if (found := find_unreasonable(logits)) is not None:
        raise CaseError(f"the model's answer {found}; are its weights damaged: {model_id}?")
    findings = _rank(logits[0], model, top)
    leading = int(logits[0].argmax())
    contributions = scan_contributions(
        case.scans, batch["slice_counts"].tolist(), logits, encoded.slice_attentions, leading
    )
    predicted = _decide(logits[0], model)
    check = None if domain is None else check_domain(domain, case.scans, encoded.scan_embeddings)
    return Diagnosis(
        findings=findings,
        label_count=logits.shape[1],
        predicted_count=None if predicted is None else int(predicted.sum()),
        has_exclusive_labels=model.config.has_exclusive_labels,
        scans=contributions,
        provenance=run_provenance(model, model_id, model_revision, time.perf_counter() - start),
        domain=check,
        warnings=(
            *(() if check is None else check.warnings),
            *warnings,
            *case.warnings,
            *warn_about_scans(case.scans),
            *warn_about_labels(model, {finding.label for finding in findings}),
        ),
    )


def run_provenance(
    model: RadDiagForImageClassification,
    model_id: str | None,
    model_revision: str | None,
    seconds: float,
) -> Provenance:
    """Return what computed an answer; `diagnose_case` says what the arguments are."""
    return Provenance(
        model_id=_without_place(model.name_or_path if model_id is None else model_id),
        model_revision=model_revision,
        threshold_source=model.config.decision_threshold_source,
        calibration_temperature=float(model.config.calibration_temperature),
        device=model.device.type,
        dtype=str(model.dtype).removeprefix("torch."),
        seconds=seconds,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=package_versions(),
    )


def _without_place(model_id: str) -> str:
    """Return the name of a folder without where it lies here; a Hub id as it is."""
    place, colon, subfolder = model_id.rpartition(":")
    for path, rest in ((model_id, ""), (place, colon + subfolder)):
        if path and Path(path).expanduser().is_dir():
            return Path(path).expanduser().resolve().name + rest
    return model_id


def calibrated_probabilities(logits: Tensor, model: RadDiagForImageClassification) -> Tensor:
    """Return calibrated probabilities in float64: what the model's thresholds were chosen on.

    Args:
        logits: Of all labels, in the last dimension.
        model: Whose they are.
    """
    temperature = float(model.config.calibration_temperature)
    if model.config.has_exclusive_labels:
        return temper_log_odds(logits.double(), temperature).sigmoid()
    return (logits.double() / temperature).sigmoid()


def _decide(logits: Tensor, model: RadDiagForImageClassification) -> Tensor | None:
    """Return which labels are predicted, ``(labels,)``; None without thresholds.

    As `DecisionRule.decide`, of logits ``(labels,)`` in float64.
    """
    if model.config.has_exclusive_labels:
        return most_probable(logits)
    thresholds = model.config.decision_thresholds
    if thresholds is None:
        return None
    return calibrated_probabilities(logits, model) >= torch.tensor(thresholds, dtype=torch.float64)


def _rank(logits: Tensor, model: RadDiagForImageClassification, top: int) -> tuple[Finding, ...]:
    """Return the ``top`` most probable labels; equal ones in the order of the label set."""
    thresholds = None if model.config.has_exclusive_labels else model.config.decision_thresholds
    probabilities, predicted = calibrated_probabilities(logits, model), _decide(logits, model)
    findings = []
    for index in logits.argsort(descending=True, stable=True)[:top].tolist():
        findings.append(
            Finding(
                label=model.config.id2label[index],
                logit=logits[index].item(),
                probability=probabilities[index].item(),
                threshold=None if thresholds is None else float(thresholds[index]),
                predicted=None if predicted is None else bool(predicted[index]),
            )
        )
    return tuple(findings)


def warn_about_scans(scans: Sequence[Scan]) -> list[str]:
    """Return one sentence for each doubt about a scan, free of patient identifiers."""
    warnings = []
    for scan in scans:
        decisions = decisions_of(scan)
        kinds = {decision["kind"] for decision in decisions}
        doubts = [text for kind, text in DOUBTFUL_DECISIONS.items() if kind in kinds]
        doubts += [doubt for decision in decisions if (doubt := _doubt_of(decision))]
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


def _doubt_of(decision: Decision) -> str:
    """Word a decision that is doubtful in some cases only; empty in the others."""
    kind, keywords = decision["kind"], decision.get("keywords")
    if kind == DecisionKind.DEPTH_AXIS and decision.get("why") == "assumed":
        return f"no one says which axis of the array is the depth: the {decision['axis']} was taken"
    is_rescale = isinstance(keywords, Sequence) and not _RESCALE.isdisjoint(keywords)
    if kind == DecisionKind.UNUSABLE_TAGS and is_rescale:
        return "its rescale cannot be used: a slope counts as 1, an intercept as 0"
    return ""
