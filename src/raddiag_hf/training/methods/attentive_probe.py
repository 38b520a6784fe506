"""Attentive probe: shares of slices and scans, and a linear classifier, on features that stay."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raddiag_hf.core.fingerprint import fingerprint, weights_fingerprint
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.model.attention_pooling import ScoreLayer
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.losses import classification_loss
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.methods.features import (
    CaseFeatures,
    SliceFeatures,
    extract_slice_features,
)
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.training.methods.linear_probe import LinearProbe, fit_linear_probes
from raddiag_hf.training.methods.scan_embeddings import ScanEmbeddings
from raddiag_hf.vocabulary import Split

FEATURES_FORMAT = "slices"
FOLDS = 5
ROUNDS, STEPS = 2, 60
BATCH_CASES = 32
LEARNING_RATE, WEIGHT_DECAY = 2e-3, 0.05
FUSIONS = ("slice_attention", "slice_transformer", "fusion")


class Reading(StrEnum):
    """How a linear classifier reads the slices of a case."""

    FUSED = "fused"
    """By the fusion as it was; of a new attention, the mean of slices and of scans."""
    LATE = "late"
    """Scan by scan, slices as before; predictions are averaged."""
    ATTENTION = "attention"
    """By attention over slices and scans, which is learnt."""


@dataclass(frozen=True)
class _Labelled:
    """Slice features of cases, and their labels ``(cases, labels)``, NaN where unknown."""

    features: SliceFeatures
    labels: Tensor

    def subset(self, cases: Sequence[int]) -> "_Labelled":
        return _Labelled(self.features.subset(cases), self.labels[torch.tensor(cases)])


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
    keeps_fusion: bool = False,
) -> FittedModel:
    """Fit a linear classifier, and shares of slices and scans, on features computed once.

    Three ways of reading a case compete, see `Reading`, each with every penalty, by the
    cross-entropy of a cross-validation over training and validation cases, folds by patient: a few
    validation cases alone would choose at random. The winner is fitted to the training cases. The
    encoder stays as it is.

    Args:
        model: Of the labels to learn, with slice features and a classifier of one linear layer.
            Where predictions of scans are averaged, its fusion becomes ``mean``.
        data: Its training cases are learnt.
        processor: The model's.
        progress: Called after every few cases and fits.
        penalties: To choose from; see `fit_linear_probes`.
        work: Where features are kept, under the fingerprint of encoder, processor and data.
        device: Where to encode.
        num_workers: Processes that decode cases.
        chunk_size: Slices that are encoded at once.
        seed: Of folds and of the order of cases.
        keeps_fusion: Do not average the predictions of scans instead.

    Raises:
        ValueError: If the model's encoder has no slice features.

    Source:
        Attention over the slices of a frozen 2D backbone: "Revisiting 2D Foundation Models for
        Scalable 3D Medical Image Classification", CVPR 2026. Fitting attention and a convex
        classifier in turn is ours.
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
    train, validation = (
        _Labelled(features[split], torch.from_numpy(data[split].labels))
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    patients = [*data[Split.TRAIN].patient_ids, *data[Split.VALIDATION].patient_ids]
    start = copy.deepcopy(_fusion_parts(model).state_dict())
    sentences = {one: _describe(one, model) for one in Reading}
    chooser = _Chooser(model, _join(train, validation), _folds(patients, seed), penalties, seed)
    readings = _readings(model, features[Split.TRAIN], keeps_fusion)
    losses = chooser.cross_validate(readings, progress)
    reading, penalty = min(losses, key=lambda key: losses[key])
    usual = _usual_penalty(losses, penalty)
    _fusion_parts(model).load_state_dict(start)
    (probe,) = _fit(model, reading, train, [penalty], usual, seed)
    if is_late := reading is Reading.LATE:
        model.config.fusion_type, model.raddiag.fusion = "mean", None
    _set_classifier(model, probe)

    def predict(split: Split) -> NDArray[np.floating]:
        return _read(model, features[split], reading).predict(probe.logits).numpy()

    best: dict[Reading, float] = {}
    for (one, _), loss in losses.items():
        best[one] = min(loss, best.get(one, loss))
    told = ", ".join(f"{one}: {loss:.4f}" for one, loss in best.items())
    return FittedModel(
        model,
        predict,
        f"{sentences[reading]}, with penalty {penalty:g}, by cross-entropy in "
        f"{len(chooser.folds)}-fold cross-validation over training and validation cases ({told})",
        model.save_pretrained,
        lambda split: _read(model, features[split], reading).scans,
        fusion="predictions of scans averaged, by cross-validation" if is_late else None,
    )


def _describe(reading: Reading, model: RadDiagForImageClassification) -> str:
    """Return a reading in words, of a model whose fusion is as it was."""
    parts = "slices" if model.config.is_late_fusion else "slices and scans"
    if reading is Reading.ATTENTION:
        return f"learnt attention over {parts}"
    if reading is Reading.LATE:
        return f"{_start_pooling(model, 'slices')}, predictions of scans averaged"
    return _start_pooling(model, parts)


def _start_pooling(model: RadDiagForImageClassification, parts: str) -> str:
    kinds = [model.config.slice_fusion]
    if not model.config.is_late_fusion:
        kinds.append(model.config.fusion_type)
    scores = [one for one in _fusion_parts(model).modules() if isinstance(one, ScoreLayer)]
    is_new = set(kinds) == {"attention"} and not any(one.weight.any() for one in scores)
    return f"the mean of {parts}" if is_new else f"{parts} pooled as at the start"


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


def _readings(
    model: RadDiagForImageClassification, features: SliceFeatures, keeps_fusion: bool
) -> list[Reading]:
    """Return the readings that differ: one slice in one scan can be read in one way."""
    readings = [Reading.FUSED]
    has_scans = len(features.slice_counts) > len(features)
    if has_scans and not (keeps_fusion or model.config.is_late_fusion):
        readings.append(Reading.LATE)
    if len(features.slices) > len(features):
        readings.append(Reading.ATTENTION)
    return readings


def _join(one: _Labelled, other: _Labelled) -> _Labelled:
    parts = (vars(one.features), vars(other.features))
    names = ("slices", "slice_counts", "scan_counts", "modality_slots")
    joined = {name: torch.cat([part[name] for part in parts]) for name in names}
    return _Labelled(SliceFeatures(**joined), torch.cat([one.labels, other.labels]))


def _folds(patients: Sequence[str], seed: int) -> list[list[int]]:
    """Return the cases of each fold; all of a patient are in one."""
    names = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[place]: number % FOLDS for number, place in enumerate(order.tolist())}
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for case, patient in enumerate(patients):
        folds[fold_of[patient]].append(case)
    return [fold for fold in folds if fold]


@dataclass(frozen=True)
class _Chooser:
    """Cross-validates readings and penalties; the model's fusion is left as it was fitted last."""

    model: RadDiagForImageClassification
    cases: _Labelled
    folds: list[list[int]]
    penalties: Sequence[float]
    seed: int

    def cross_validate(
        self, readings: Sequence[Reading], progress: Progress
    ) -> dict[tuple[Reading, float], float]:
        """Return the cross-entropy of each reading and penalty on cases that were held out."""
        start = copy.deepcopy(_fusion_parts(self.model).state_dict())
        losses: dict[tuple[Reading, float], float] = {}
        total = len(readings) * len(self.folds)
        for number, reading in enumerate(readings):
            usual = _usual_penalty(losses, self.penalties[0])
            sums = dict.fromkeys(self.penalties, 0.0)
            for done, fold in enumerate(self.folds):
                held_out = set(fold)
                rest = [case for case in range(len(self.cases.features)) if case not in held_out]
                _fusion_parts(self.model).load_state_dict(start)
                probes = _fit(
                    self.model, reading, self.cases.subset(rest), self.penalties, usual, self.seed
                )
                test = self.cases.subset(fold)
                read = _read(self.model, test.features, reading)
                for probe in probes:
                    predicted = read.predict(probe.logits)
                    loss = classification_loss(predicted, test.labels, self.model.config)
                    sums[probe.penalty] += loss.item() * _num_known(test.labels)
                progress("Cross-validating", number * len(self.folds) + done + 1, total)
            num_known = _num_known(self.cases.labels)
            losses |= {(reading, p): sum_ / num_known for p, sum_ in sums.items()}
        return losses


def _num_known(labels: Tensor) -> int:
    return int((~labels.isnan()).sum())


def _usual_penalty(losses: Mapping[tuple[Reading, float], float], otherwise: float) -> float:
    """Return the best penalty without attention, with which attention is learnt."""
    fused = {penalty: loss for (one, penalty), loss in losses.items() if one is Reading.FUSED}
    return min(fused, key=lambda penalty: fused[penalty]) if fused else otherwise


def _fusion_parts(model: RadDiagForImageClassification) -> nn.ModuleList:
    encoder = model.raddiag.encoder
    parts = [getattr(encoder, name) for name in FUSIONS if hasattr(encoder, name)]
    return nn.ModuleList(
        [*parts, *([] if model.raddiag.fusion is None else [model.raddiag.fusion])]
    )


def _fit(
    model: RadDiagForImageClassification,
    reading: Reading,
    cases: _Labelled,
    penalties: Sequence[float],
    usual: float,
    seed: int,
) -> list[LinearProbe]:
    """Fit a linear probe for each penalty; with attention, the model's fusion first."""
    if reading is Reading.ATTENTION:
        torch.manual_seed(seed)
        for _ in range(ROUNDS):
            _set_classifier(model, _fit(model, Reading.FUSED, cases, [usual], usual, seed)[0])
            _learn_fusion(model, cases)
    rows = _read(model, cases.features, reading)
    exclusive = model.config.has_exclusive_labels
    if reading is Reading.LATE:
        labels = cases.labels.repeat_interleave(cases.features.scan_counts, 0)
        return fit_linear_probes(rows.rows, labels, penalties, exclusive=exclusive)
    return fit_linear_probes(rows.case_embeddings(), cases.labels, penalties, exclusive=exclusive)


@torch.inference_mode()
def _read(
    model: RadDiagForImageClassification, features: SliceFeatures, reading: Reading
) -> CaseFeatures:
    """Return what the classifier reads of each case."""
    model.eval()
    is_late = model.config.is_late_fusion or reading is Reading.LATE
    rows, scans = [], []
    for first in range(0, len(features), BATCH_CASES):
        cases = range(first, min(first + BATCH_CASES, len(features)))
        output = model.base_model(None, **features.select(cases))
        scans.append(output.scan_embeddings)
        rows.append(output.scan_embeddings if is_late else output.pooler_output)
    counts = features.scan_counts if is_late else torch.ones_like(features.scan_counts)
    late = model.config.fusion_type if model.config.is_late_fusion else "mean"
    return CaseFeatures(
        torch.cat(rows),
        counts,
        ScanEmbeddings(torch.cat(scans), features.scan_counts),
        late if is_late else model.config.fusion_type,
    )


def _learn_fusion(model: RadDiagForImageClassification, cases: _Labelled) -> None:
    """Train the fusion with the classifier as it stands."""
    weights = list(_fusion_parts(model).parameters())
    optimizer = torch.optim.AdamW(weights, LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    order: list[int] = []
    for _ in range(STEPS):
        if len(order) < min(BATCH_CASES, len(cases.features)):
            order = torch.randperm(len(cases.features)).tolist()
        batch, order = order[:BATCH_CASES], order[BATCH_CASES:]
        logits = model(None, **cases.features.select(batch)).logits
        loss = classification_loss(logits, cases.labels[batch], model.config)
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.grad = gradient
        optimizer.step()
    for weight in weights:
        weight.grad = None


def _set_classifier(model: RadDiagForImageClassification, probe: LinearProbe) -> None:
    model.classifier.load_state_dict({"fc.weight": probe.weight, "fc.bias": probe.bias})
