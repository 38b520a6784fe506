"""Multi-label logistic regression on case embeddings, for several penalties at a time."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

logger = logging.getLogger(__name__)

MAX_ITERATIONS = 1000
GRADIENT_TOLERANCE = 1e-7
"""Of the preconditioned problem, whose curvature is about 1: parameters are this near."""


@dataclass(frozen=True)
class LinearProbe:
    """Logits from features: ``features @ weight.T + bias``.

    Attributes:
        weight: Shape ``(labels, features)``, float64.
        bias: Shape ``(labels,)``, float64.
        penalty: Of the squared weights of standardised features.
    """

    weight: Tensor
    bias: Tensor
    penalty: float

    def logits(self, features: Tensor) -> Tensor:
        """Return logits ``(cases, labels)``, float64."""
        return features.double() @ self.weight.T + self.bias


def fit_linear_probes(
    features: Tensor, labels: Tensor, penalties: Sequence[float]
) -> list[LinearProbe]:
    """Fit one logistic regression per label and penalty.

    Features are standardised on these cases; mean and scale are folded into the weights returned.
    For each label this minimises the summed cross-entropy plus ``penalty / 2`` times the squared
    norm of its weights on standardised features; the bias is not penalised. That is scikit-learn's
    ``LogisticRegression(C=1/penalty)`` after ``StandardScaler``.

    A label that no case or every case has, gets the logit of its smoothed frequency and no weights.

    Args:
        features: Shape ``(cases, features)``.
        labels: 0 or 1, shape ``(cases, labels)``.
        penalties: Each above 0.

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
    x, y = features.double(), labels.double()
    mean, scale = x.mean(0), x.std(0, correction=0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    x = (x - mean) / scale
    # A rotation changes neither the penalty nor the solution, and it makes the curvature diagonal.
    curvature, basis = torch.linalg.eigh(x.T @ x)
    curvature, basis = curvature[-len(x) :].clamp_min(0), basis[:, -len(x) :]
    rotated = x @ basis
    positives = y.sum(0)
    is_fitted = (positives > 0) & (positives < len(y))
    frequency = (positives + 0.5) / (len(y) + 1)
    bias = frequency.logit()
    spread = (frequency * (1 - frequency))[is_fitted, None]
    start = torch.zeros(int(is_fitted.sum()), rotated.shape[1], dtype=torch.float64)
    solution = (start, bias[is_fitted])
    found: dict[float, LinearProbe] = {}
    for penalty in sorted(set(penalties), reverse=True):  # each starts where the last one ended
        steps = (penalty + spread * curvature).rsqrt()
        if is_fitted.any():
            solution = _minimise(rotated, y[:, is_fitted], penalty, steps, spread, solution)
        weight = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64)
        weight[is_fitted] = solution[0] @ basis.T / scale
        fitted_bias = bias.clone()
        fitted_bias[is_fitted] = solution[1]
        found[penalty] = LinearProbe(weight, fitted_bias - weight @ mean, penalty)
    return [found[penalty] for penalty in penalties]


def choose_probe(
    probes: Sequence[LinearProbe], logits: Sequence[Tensor], labels: Tensor
) -> tuple[LinearProbe, dict[float, float]]:
    """Return the probe with the lowest cross-entropy on validation cases.

    Args:
        probes: Of different penalties.
        logits: What each gives validation cases, ``(cases, labels)``.
        labels: 0 or 1, shape ``(cases, labels)``.

    Returns:
        The best, of equals the one with the highest penalty; and penalty -> mean cross-entropy.
    """
    losses = {
        probe.penalty: F.binary_cross_entropy_with_logits(predicted, labels.double()).item()
        for probe, predicted in zip(probes, logits, strict=True)
    }
    best = min(probes, key=lambda probe: (losses[probe.penalty], -probe.penalty))
    return best, losses


def _minimise(
    x: Tensor,
    y: Tensor,
    penalty: float,
    steps: Tensor,
    spread: Tensor,
    start: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """Return weights ``(labels, features)`` and biases ``(labels,)`` of all labels at once."""
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
        loss = F.binary_cross_entropy_with_logits(logits, y, reduction="sum")
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
