"""Attentive probe: shares of slices and scans, and a linear classifier, on features that stay."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raddiag_hf.core.fingerprint import fingerprint, weights_fingerprint
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.methods.features import (
    CaseFeatures,
    SliceFeatures,
    extract_slice_features,
)
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.training.methods.linear_probe import LinearProbe, choose_probe, fit_linear_probes
from raddiag_hf.vocabulary import Split

FEATURES_FORMAT = "slices"
ROUNDS, STEPS, STEPS_BETWEEN_CHECKS = 3, 120, 10
BATCH_CASES = 32
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
LEAST_GAIN = 0.01
"""Share of the validation cross-entropy that attention has to save to be kept."""
FUSIONS = ("slice_attention", "slice_transformer", "fusion")


@dataclass(frozen=True)
class _Fit:
    """A linear probe on what a state of the fusion makes of the features."""

    probe: LinearProbe
    loss: float
    fusion: dict[str, Tensor]


def fit_attentive_probe(
    model: RadDiagForImageClassification,
    data: CaseSplits,
    processor: RadDiagImageProcessor,
    progress: Progress = no_progress,
    *,
    penalties: Sequence[float],
    work: Path,
    device: torch.device,
    num_workers: int,
    chunk_size: int | None,
    seed: int,
) -> FittedModel:
    """Fit shares of slices and scans and a classifier, in turn, on features that are computed once.

    It begins with a linear probe on what the fusion makes of the features as it is, such as their
    mean. Then the fusion learns with the classifier as it stands, and a linear probe is fitted
    anew, a few times over. What has the lowest cross-entropy on validation is kept; where attention
    saves less than 1 % of it, the linear probe of the beginning is.

    Args:
        model: Of the labels to learn, with slice features and a classifier of one linear layer.
        data: Its training cases are learnt; all choices are made on validation.
        processor: The model's.
        progress: Called after every few cases and steps.
        penalties: To choose from; see `fit_linear_probes`.
        work: Where features are kept, under the fingerprint of encoder, processor and data.
        device: Where to encode.
        num_workers: Processes that decode cases.
        chunk_size: Slices that are encoded at once.
        seed: Of the order of cases.

    Raises:
        ValueError: If the model's encoder has no slice features.

    Source:
        The order of things is ours; attention on the features of a frozen 2D backbone as in
        "Revisiting 2D Foundation Models for Scalable 3D Medical Image Classification", CVPR 2026.
    """
    features = extract_slice_features(
        model,
        {Split(name): one.pack(processor) for name, one in data.items()},
        work / f"slice-features-{_identity(model, processor, data)[:16]}",
        device=device,
        num_workers=num_workers,
        chunk_size=chunk_size,
        progress=progress,
    )
    labels = {Split(name): torch.from_numpy(one.labels) for name, one in data.items()}
    start = best = _fit_probe(model, features, labels, penalties)
    if features[Split.TRAIN].has_choices:
        torch.manual_seed(seed)
        for number in range(ROUNDS):
            _set_classifier(model, best.probe)
            tell = partial(_tell, progress, number * STEPS)
            _learn_fusion(model, features, labels, tell)
            found = _fit_probe(model, features, labels, penalties)
            if found.loss >= best.loss:
                break
            best = found
        if best.loss > (1 - LEAST_GAIN) * start.loss:
            best = start
    model.load_state_dict(best.fusion, strict=False)
    _set_classifier(model, best.probe)
    kept = "attention over slices and scans" if best is not start else "the mean of slices"
    return FittedModel(
        model,
        lambda split: _rows(model, features[split]).predict(best.probe.logits).numpy(),
        f"{kept} with penalty {best.probe.penalty:g}, by cross-entropy on validation: "
        f"{best.loss:.4f}, and {start.loss:.4f} before attention was learnt",
        model.save_pretrained,
    )


def _identity(
    model: RadDiagForImageClassification, processor: RadDiagImageProcessor, data: CaseSplits
) -> str:
    """Return what stands for all that slice features depend on."""
    encoder = {
        name: weight
        for name, weight in model.raddiag.encoder.state_dict().items()
        if not name.startswith(FUSIONS)
    }
    shown = {
        name: value
        for name, value in model.config.to_dict().items()
        if name.startswith(("encoder_type", "backbone", "image_size", "num_channels", "resnet"))
    }
    return fingerprint(
        FEATURES_FORMAT, weights_fingerprint(encoder), shown, processor.to_dict(), data.fingerprint
    )


def _fusion_parts(model: RadDiagForImageClassification) -> list[nn.Module]:
    encoder = model.raddiag.encoder
    parts = [getattr(encoder, name) for name in FUSIONS if hasattr(encoder, name)]
    return [*parts, *([] if model.raddiag.fusion is None else [model.raddiag.fusion])]


def _fit_probe(
    model: RadDiagForImageClassification,
    features: dict[Split, SliceFeatures],
    labels: dict[Split, Tensor],
    penalties: Sequence[float],
) -> _Fit:
    """Fit linear probes on what the fusion, as it is, makes of the features."""
    rows = {split: _rows(model, features[split]) for split in (Split.TRAIN, Split.VALIDATION)}
    probes = fit_linear_probes(rows[Split.TRAIN].case_embeddings(), labels[Split.TRAIN], penalties)
    probe, losses = choose_probe(
        probes,
        [rows[Split.VALIDATION].predict(probe.logits) for probe in probes],
        labels[Split.VALIDATION],
    )
    names = {
        name
        for name, _ in model.named_parameters()
        if any(f".{fusion}." in name for fusion in FUSIONS)
    }
    state = {name: one.clone() for name, one in model.state_dict().items() if name in names}
    return _Fit(probe, losses[probe.penalty], state)


@torch.inference_mode()
def _rows(model: RadDiagForImageClassification, features: SliceFeatures) -> CaseFeatures:
    """Return what the classifier reads of each case."""
    model.eval()
    is_late = model.config.is_late_fusion
    rows = []
    for first in range(0, len(features), BATCH_CASES):
        cases = range(first, min(first + BATCH_CASES, len(features)))
        output = model.base_model(None, **features.select(cases))
        rows.append(output.scan_embeddings if is_late else output.pooler_output)
    counts = features.scan_counts if is_late else torch.ones_like(features.scan_counts)
    return CaseFeatures(torch.cat(rows), counts, model.config.fusion_type)


def _learn_fusion(
    model: RadDiagForImageClassification,
    features: dict[Split, SliceFeatures],
    labels: dict[Split, Tensor],
    tell: Callable[[int], None],
) -> None:
    """Train the fusion with the classifier as it stands; end with the best weights."""
    parts = nn.ModuleList(_fusion_parts(model))
    weights = list(parts.parameters())
    optimizer = torch.optim.AdamW(weights, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    train = features[Split.TRAIN]
    best_loss, best = _validation_loss(model, features, labels), copy.deepcopy(parts.state_dict())
    order: list[int] = []
    for step in range(STEPS):
        if len(order) < min(BATCH_CASES, len(train)):
            order = torch.randperm(len(train)).tolist()
        cases, order = order[:BATCH_CASES], order[BATCH_CASES:]
        logits = model(None, **train.select(cases)).logits
        loss = F.binary_cross_entropy_with_logits(logits, labels[Split.TRAIN][cases])
        gradients = torch.autograd.grad(loss, weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        optimizer.step()
        tell(step + 1)
        if (step + 1) % STEPS_BETWEEN_CHECKS == 0:
            found = _validation_loss(model, features, labels)
            if found < best_loss:
                best_loss, best = found, copy.deepcopy(parts.state_dict())
    for weight in weights:
        weight.grad = None
    parts.load_state_dict(best)


@torch.inference_mode()
def _validation_loss(
    model: RadDiagForImageClassification,
    features: dict[Split, SliceFeatures],
    labels: dict[Split, Tensor],
) -> float:
    held_out = features[Split.VALIDATION]
    logits = _rows(model, held_out).predict(model.classifier)
    return F.binary_cross_entropy_with_logits(logits, labels[Split.VALIDATION]).item()


def _tell(progress: Progress, before: int, done: int) -> None:
    progress("Learning attention", before + done, ROUNDS * STEPS)


def _set_classifier(model: RadDiagForImageClassification, probe: LinearProbe) -> None:
    model.classifier.load_state_dict({"fc.weight": probe.weight, "fc.bias": probe.bias})
