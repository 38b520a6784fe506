"""Linear probe: multi-label logistic regression on case embeddings, which stay as they are."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from raddiag_hf.core.fingerprint import fingerprint
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.model.exclusive_labels import exclusive_loss, softmax_log_odds
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.long_tail_losses import known_mean
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.methods.features import extract_features
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

FEATURES_FORMAT = "rows and scans"
"""Changes with what is stored of cases, so that nothing stored otherwise is read."""

MAX_ITERATIONS = 1000
GRADIENT_TOLERANCE = 1e-7
"""Of the preconditioned problem, whose curvature is about 1: parameters are this near."""


@dataclass(frozen=True)
class LinearProbe:
    """Logits from features, by ``features @ weight.T + bias``.

    Attributes:
        weight: Shape ``(labels, features)``, float64.
        bias: Shape ``(labels,)``, float64.
        penalty: Of the squared weights of standardised features.
        is_exclusive: Whether the products are scores of a softmax.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    is_exclusive: bool = False

    def logits(self, features: Tensor) -> Tensor:
        """Return logits ``(cases, labels)``, float64; of exclusive labels log-odds."""
        scores = features.double() @ self.weight.T + self.bias
        return softmax_log_odds(scores) if self.is_exclusive else scores


def fit_probe(
    model: RadDiagForImageClassification,
    data: CaseSplits,
    processor: RadDiagImageProcessor,
    progress: Progress = no_progress,
    *,
    penalties: Sequence[float],
    work: Path,
    base: str,
    device: torch.device,
    num_workers: int,
    chunk_size: int | None,
) -> FittedModel:
    """Fit a logistic regression on case embeddings, and make it the model's classifier.

    With late fusion it is fitted on the pooled embeddings of each case's scans, and judged by what
    the finished model does with it: classify scan by scan, and pool the predictions.

    Args:
        model: Of the labels to learn, with a classifier of one linear layer.
        data: Its training cases are learnt; the penalty is chosen on validation.
        processor: The model's.
        progress: Called after every file of embeddings.
        penalties: To choose from; see `fit_linear_probes`.
        work: Where embeddings are kept.
        base: Fingerprint of the model that was adapted, for the embeddings' folder.
        device: Where to encode.
        num_workers: Processes that decode cases.
        chunk_size: Slices that are encoded at once.
    """
    identity = fingerprint(FEATURES_FORMAT, base, model.config.fusion_type, data.fingerprint)
    features = extract_features(
        model,
        {Split(name): one.pack(processor) for name, one in data.items()},
        work / f"features-{identity[:16]}",
        device=device,
        num_workers=num_workers,
        chunk_size=chunk_size,
        progress=progress,
    )
    labels = {name: torch.from_numpy(one.labels) for name, one in data.items()}
    progress("Fitting", 0, 1)
    training, validation = features[Split.TRAIN], features[Split.VALIDATION]
    probes = fit_linear_probes(
        training.case_embeddings(),
        labels[Split.TRAIN],
        penalties,
        exclusive=model.config.has_exclusive_labels,
    )
    probe, losses = choose_probe(
        probes,
        [validation.predict(probe.logits) for probe in probes],
        labels[Split.VALIDATION],
        exclusive=model.config.has_exclusive_labels,
    )
    progress("Fitting", 1, 1)
    model.classifier.load_state_dict({"fc.weight": probe.weight, "fc.bias": probe.bias})
    tried = ", ".join(f"{penalty:g}: {loss:.4f}" for penalty, loss in losses.items())
    return FittedModel(
        model,
        lambda split: features[split].predict(probe.logits).numpy(),
        f"penalty {probe.penalty:g}, by cross-entropy on validation ({tried})",
        model.save_pretrained,
        lambda split: features[split].scans,
    )


def fit_linear_probes(
    features: Tensor, labels: Tensor, penalties: Sequence[float], *, exclusive: bool = False
) -> list[LinearProbe]:
    """Fit one logistic regression per label and penalty; of exclusive labels a multinomial one.

    Features are standardised on these cases; mean and scale are folded into the weights returned.
    For each label this minimises the summed cross-entropy plus ``penalty / 2`` times the squared
    norm of its weights on standardised features; the bias is not penalised. That is scikit-learn's
    ``LogisticRegression(C=1/penalty)`` after ``StandardScaler``. A case counts for a label where it
    is known.

    A label that no case or every case has, gets the logit of its smoothed frequency and no weights;
    of exclusive labels one that no case has gets the logarithm of it.

    Args:
        features: Shape ``(cases, features)``.
        labels: 0 or 1, NaN where unknown, shape ``(cases, labels)``.
        penalties: Each above 0.
        exclusive: Every case has exactly one label, and all are known.

    Returns:
        One probe per penalty, in their order.

    Raises:
        ValueError: If the shapes disagree, or a feature is not finite.
    """
    if features.ndim != 2 or labels.ndim != 2 or len(features) != len(labels):
        raise ValueError(
            f"features have shape {tuple(features.shape)} and labels {tuple(labels.shape)}, "
            "expected (cases, features) and (cases, labels)"
        )
    if not bool(torch.isfinite(features).all()):
        raise ValueError("features hold values that are not finite")
    x, y, known = features.double(), labels.double().nan_to_num(0), ~labels.isnan()
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    x = (x - mean) / scale
    # A rotation changes neither the penalty nor the solution, and it makes the curvature diagonal.
    curvature, basis = torch.linalg.eigh(x.T @ x)
    curvature, basis = curvature[-len(x) :].clamp_min(0), basis[:, -len(x) :]
    rotated = x @ basis
    positives, num_known = y.sum(0), known.sum(0)
    frequency = (positives + 0.5) / (num_known + 1)
    if exclusive:
        is_fitted, bias = positives > 0, frequency.log()
    else:
        is_fitted, bias = (positives > 0) & (positives < num_known), frequency.logit()
    spread = (frequency * (1 - frequency) * num_known / len(y))[is_fitted, None]
    start = torch.zeros(int(is_fitted.sum()), rotated.shape[1], dtype=torch.float64)
    solution = (start, bias[is_fitted])
    found: dict[float, LinearProbe] = {}
    for penalty in sorted(set(penalties), reverse=True):  # each starts where the last one ended
        steps = (penalty + spread * curvature).rsqrt()
        if is_fitted.any():
            solution = _minimise(
                rotated,
                y[:, is_fitted],
                None if known.all() else known[:, is_fitted].double(),
                penalty,
                steps,
                spread,
                solution,
                exclusive,
            )
        weight = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64)
        weight[is_fitted] = solution[0] @ basis.T / scale
        fitted_bias = bias.clone()
        fitted_bias[is_fitted] = solution[1]
        if exclusive:  # a softmax leaves the level open, by which labels without a case are rare
            level = (rotated @ solution[0].T + solution[1]).logsumexp(1).mean()
            fitted_bias[is_fitted] -= level
        found[penalty] = LinearProbe(weight, fitted_bias - weight @ mean, penalty, exclusive)
    return [found[penalty] for penalty in penalties]


def choose_probe(
    probes: Sequence[LinearProbe],
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    exclusive: bool = False,
) -> tuple[LinearProbe, dict[float, float]]:
    """Return the probe with the lowest cross-entropy on validation cases.

    Args:
        probes: Of different penalties.
        logits: What each gives validation cases, ``(cases, labels)``.
        labels: 0 or 1, NaN where unknown, shape ``(cases, labels)``.
        exclusive: The logits are log-odds of a softmax.

    Returns:
        The best, of equals the one with the highest penalty; and penalty -> mean cross-entropy.
    """
    loss = exclusive_loss if exclusive else _known_cross_entropy
    losses = {
        probe.penalty: loss(predicted, labels.double()).item()
        for probe, predicted in zip(probes, logits, strict=True)
    }
    best = min(probes, key=lambda probe: (losses[probe.penalty], -probe.penalty))
    return best, losses


def _known_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    known = ~labels.isnan()
    cells = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(0), reduction="none")
    return known_mean(cells, None if known.all() else known)


def _minimise(
    x: Tensor,
    y: Tensor,
    known: Tensor | None,
    penalty: float,
    steps: Tensor,
    spread: Tensor,
    start: tuple[Tensor, Tensor],
    exclusive: bool,
) -> tuple[Tensor, Tensor]:
    """Return weights ``(labels, features)`` and biases ``(labels,)`` of all labels at once.

    Cells of ``y`` count as often as ``known`` says; None: once each.
    """
    bias_steps = (len(x) * spread[:, 0]).rsqrt()
    scaled = (start[0] / steps).requires_grad_()
    scaled_bias = (start[1] / bias_steps).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [scaled, scaled_bias],
        max_iter=MAX_ITERATIONS,
        max_eval=2 * MAX_ITERATIONS,
        tolerance_grad=GRADIENT_TOLERANCE,
        tolerance_change=0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        weight = scaled * steps
        logits = x @ weight.T + scaled_bias * bias_steps
        if exclusive:
            loss = F.cross_entropy(logits, y, reduction="sum")
        else:
            loss = F.binary_cross_entropy_with_logits(logits, y, known, reduction="sum")
        loss = loss + penalty / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    if (iterations := optimizer.state[scaled]["n_iter"]) >= MAX_ITERATIONS:
        logger.warning(
            "penalty %g: not converged after %d iterations; a higher penalty would", penalty,
            iterations,
        )  # fmt: skip
    return (scaled * steps).detach(), (scaled_bias * bias_steps).detach()
