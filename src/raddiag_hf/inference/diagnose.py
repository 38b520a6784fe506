"""Diagnose one case: scans in, ranked findings and the part of each scan out."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import torch
from torch import Tensor

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.case_packing import CaseError, pack_case, source_slice
from raddiag_hf.inference.diagnosis import Diagnosis, Finding, Provenance, ScanContribution
from raddiag_hf.inference.scan_warnings import warn_about_scans
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

VERSIONED_PACKAGES = ("raddiag-hf", "torch", "transformers")


def diagnose_case(
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
    scans: Sequence[Scan],
    *,
    top: int = 10,
    model_id: str | None = None,
    model_revision: str | None = None,
    warnings: Sequence[str] = (),
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
        scans: The case's scans in any order, each of known modality.
        top: How many findings to return, at least 1.
        model_id: What to call the model in the record; its folder or Hub id by default.
        model_revision: Its commit, where it has one.
        warnings: What was noticed before; doubts about the scans themselves are added.

    Raises:
        CaseError: If there is no scan, the modality of one is unknown to us or to the model, or
            the model's answer is not finite.
        ValueError: If ``top`` is below 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}, expected at least 1")
    start = time.perf_counter()
    batch = pack_case(model, processor, scans)
    with torch.inference_mode():
        encoded = model.encode_scans(batch["pixel_values"], batch["slice_counts"])
        logits = _leave_one_out(model, encoded.scan_embeddings, batch["modality_slots"])
    if not bool(torch.isfinite(logits).all()):
        raise CaseError(f"the model's answer is not finite; are its weights damaged: {model_id}?")
    findings = _rank(logits[0], model, top)
    leading = int(logits[0].argmax())
    effects = (logits[0, leading] - logits[1:, leading]).tolist()
    attentions = encoded.slice_attentions
    contributions = [
        _contribution(
            scan,
            int(batch["slice_counts"][number]),
            share,
            effects[number] if effects else None,
            None if attentions is None else attentions[number].float().cpu(),
        )
        for number, (scan, share) in enumerate(zip(scans, _shares(effects), strict=True))
    ]
    thresholds = model.config.decision_thresholds
    probabilities = _probabilities(logits[0], model)
    return Diagnosis(
        findings=findings,
        label_count=len(probabilities),
        predicted_count=None
        if thresholds is None
        else int((probabilities >= torch.tensor(thresholds, dtype=torch.float64)).sum()),
        scans=tuple(contributions),
        provenance=Provenance(
            model_id=model.name_or_path if model_id is None else model_id,
            model_revision=model_revision,
            threshold_source=model.config.decision_threshold_source,
            calibration_temperature=float(model.config.calibration_temperature),
            device=model.device.type,
            dtype=str(model.dtype).removeprefix("torch."),
            seconds=time.perf_counter() - start,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={package: version(package) for package in VERSIONED_PACKAGES},
        ),
        warnings=(*warnings, *warn_about_scans(scans)),
    )


def _leave_one_out(
    model: RadDiagForImageClassification, scan_embeddings: Tensor, modality_slots: Tensor
) -> Tensor:
    """Return logits of the case and of the case without each scan, ``(1 + scans, labels)``.

    Slots stay as they are in the whole case: leaving a scan out does not renumber the others. A
    case of one scan gives one row. float32 on the CPU.
    """
    everything = torch.arange(len(scan_embeddings))
    combinations = [everything]
    if len(everything) > 1:
        combinations += [everything[everything != left_out] for left_out in everything]
    rows = torch.cat(combinations).to(scan_embeddings.device)
    counts = torch.tensor([len(kept) for kept in combinations], device=scan_embeddings.device)
    logits = model.classify_scans(scan_embeddings[rows], modality_slots[rows], counts)
    return logits.float().cpu()


def _shares(effects: Sequence[float]) -> list[float]:
    """Return each effect's part of all effects by size; no effects mean one scan."""
    if not effects:
        return [1.0]
    total = sum(abs(effect) for effect in effects)
    if total == 0:
        return [1 / len(effects)] * len(effects)
    return [abs(effect) / total for effect in effects]


def _probabilities(logits: Tensor, model: RadDiagForImageClassification) -> Tensor:
    """Return calibrated probabilities in float64: what the model's thresholds were chosen on."""
    return (logits.double() / model.config.calibration_temperature).sigmoid()


def _rank(logits: Tensor, model: RadDiagForImageClassification, top: int) -> tuple[Finding, ...]:
    """Return the ``top`` most probable labels; equal ones in the order of the label set."""
    thresholds = model.config.decision_thresholds
    probabilities = _probabilities(logits, model)
    findings = []
    for index in logits.argsort(descending=True, stable=True)[:top].tolist():
        probability = probabilities[index].item()
        threshold = None if thresholds is None else float(thresholds[index])
        findings.append(
            Finding(
                label=model.config.id2label[index],
                logit=logits[index].item(),
                probability=probability,
                threshold=threshold,
                predicted=None if threshold is None else probability >= threshold,
            )
        )
    return tuple(findings)


def _contribution(
    scan: Scan, encoded_slices: int, share: float, effect: float | None, attention: Tensor | None
) -> ScanContribution:
    """Return one scan's record, its key slice counted in the scan as read."""
    weights = None if attention is None else attention[:encoded_slices].tolist()
    key_slice = None
    if weights is not None:
        key_slice = source_slice(weights.index(max(weights)), len(scan.volume), encoded_slices)
    return ScanContribution(
        scan_id=scan.scan_id,
        modality=str(scan.modality),
        anatomy=scan.anatomy.value,
        plane=scan.plane.value,
        source_slices=len(scan.volume),
        encoded_slices=encoded_slices,
        share=share,
        effect=effect,
        key_slice=key_slice,
        slice_attention=None if weights is None else tuple(weights),
    )
