"""Does a probability of 0.3 mean three in ten? Reliability, its error, and temperature scaling."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax

from raddiag_hf.metrics.bootstrap import Interval, interval
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.evaluation_result import json_numbers
from raddiag_hf.metrics.predictions import BoolArray, FloatArray, check_predictions

Binning = Literal["equal_width", "equal_count"]

_ROWS_CELLS = 2**22
_LOG_TEMPERATURE_LIMIT = float(np.log(100.0))


@dataclass(frozen=True)
class Reliability:
    """Predicted probabilities against observed frequencies, over all cases and classes together.

    Attributes:
        edges: Bin edges from 0 to 1, shape ``(bins + 1,)``; a probability on an inner edge belongs
            to the bin above it.
        counts: Predictions in each bin, shape ``(bins,)``.
        mean_probabilities: Mean probability in each bin; NaN in empty ones.
        frequencies: Share of positives in each bin; NaN in empty ones.
        error: Expected calibration error: the mean distance of probability and frequency, weighted
            by the bins' counts.
        error_interval: Its interval; None where there was no bootstrap. Noise in the bins makes
            the error of a perfectly calibrated model positive, so its lower end proves nothing.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.intp]
    mean_probabilities: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    error: float
    error_interval: Interval | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values; what is undefined is None."""
        found = self.error_interval
        low, high = json_numbers([np.nan, np.nan] if found is None else [found.low, found.high])
        return {
            "error": self.error,
            "error_low": low,
            "error_high": high,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "mean_probabilities": json_numbers(self.mean_probabilities),
            "frequencies": json_numbers(self.frequencies),
        }


@dataclass(frozen=True)
class TemperatureScaling:
    """The temperature by which logits are divided before the sigmoid.

    Attributes:
        temperature: Above 1 where the model is over-confident.
        loss_before: Binary cross-entropy per prediction at temperature 1; of exclusive labels that
            of the softmax per case that has one.
        loss_after: The same at ``temperature``.
        at_limit: True where the loss is lowest at an end of the range that was searched, 0.01 to
            100: the labels are separable, or the logits say the opposite.
    """

    temperature: float
    loss_before: float
    loss_after: float
    at_limit: bool


def fit_temperature(
    labels: ArrayLike, logits: ArrayLike, *, exclusive: bool = False
) -> TemperatureScaling:
    """Find the one temperature that minimises cross-entropy on validation data.

    It changes no ranking: AUC and AP stay, thresholds on probabilities do not, so choose them
    afterwards, on ``logits / temperature``.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``, of validation cases.
        logits: Shape ``(cases, classes)``.
        exclusive: The logits are log-odds of a softmax, and stay so at every temperature; see
            `DecisionRule.calibrated`.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.
    """
    present, scores = check_predictions(labels, logits)
    cross_entropy = _softmax_cross_entropy if exclusive else _cross_entropy
    if exclusive:
        scores = log_expit(np.asarray(logits, np.float64))
    elif (is_unknown := np.isnan(scores)).any():
        present, scores = present[~is_unknown, None], scores[~is_unknown, None]

    def loss(log_temperature: float) -> float:
        return cross_entropy(present, scores, float(np.exp(-log_temperature)))

    limit = _LOG_TEMPERATURE_LIMIT
    found = minimize_scalar(loss, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-5})
    # Of equal losses the first is taken: 1 where no scaling helps, an end where the loss is flat.
    losses = {at: loss(at) for at in (0.0, -limit, limit, float(found.x))}
    best = min(losses, key=losses.__getitem__)
    return TemperatureScaling(
        temperature=float(np.exp(best)),
        loss_before=losses[0.0],
        loss_after=losses[best],
        at_limit=abs(best) == limit,
    )


def reliability(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    bins: int = 15,
    binning: Binning = "equal_width",
    bootstrap: BootstrapSettings | None = None,
) -> Reliability:
    """Compare predicted probabilities with observed frequencies.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``.
        logits: Shape ``(cases, classes)``; pass a group's columns to look at that group.
        bins: Number of bins.
        binning: ``"equal_width"``, or ``"equal_count"`` for bins that hold equally many
            predictions. With thousands of rare classes nearly all probabilities share the lowest
            bin of equal width; equal counts show what happens inside it.
        bootstrap: How to find the error's interval; None for none.

    Raises:
        ValueError: If the inputs are malformed or ``bins`` is not positive.
    """
    present, scores = check_predictions(labels, logits)
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    edges = _edges(scores, bins, binning)
    sums = np.zeros((3, len(present), len(edges) - 1))
    for rows, probabilities in _probability_rows(scores):
        place = np.searchsorted(edges[1:-1], probabilities, side="right")
        place += np.arange(len(place))[:, None] * sums.shape[2]
        is_unknown = np.isnan(probabilities)
        known = None
        if is_unknown.any():
            known, probabilities = ~is_unknown, np.where(is_unknown, 0.0, probabilities)
        for total, weights in zip(sums, (known, probabilities, present[rows]), strict=True):
            flat = None if weights is None else weights.ravel()
            total[rows] = np.bincount(
                place.ravel(), flat, minlength=len(place) * sums.shape[2]
            ).reshape(len(place), -1)
    counts, probability, positives = sums.sum(axis=1)
    error = _calibration_error(sums, np.ones((len(present), 1), np.float32))[0]
    error_interval = None
    if bootstrap is not None:
        samples = np.concatenate(
            [_calibration_error(sums, weights) for weights in bootstrap.weights(len(present))]
        )
        error_interval = interval(
            samples, error, confidence=bootstrap.confidence, method=bootstrap.method
        )
    filled = counts > 0
    empty = np.full(len(counts), np.nan)
    return Reliability(
        edges=edges,
        counts=counts.astype(np.intp),
        mean_probabilities=np.divide(probability, counts, out=empty.copy(), where=filled),
        frequencies=np.divide(positives, counts, out=empty, where=filled),
        error=float(error),
        error_interval=error_interval,
    )


def _edges(scores: FloatArray, bins: int, binning: Binning) -> NDArray[np.float64]:
    if binning == "equal_width":
        return np.linspace(0.0, 1.0, bins + 1)
    if binning != "equal_count":
        raise ValueError(f"binning must be 'equal_width' or 'equal_count', got {binning!r}")
    if (is_unknown := np.isnan(scores)).any():
        scores = scores[~is_unknown]
    inner = np.quantile(scores, np.arange(1, bins) / bins)
    # Ties can make several quantiles one; their bins would be empty.
    return np.concatenate(([0.0], np.unique(expit(inner.astype(np.float64))), [1.0]))


def _calibration_error(
    sums: NDArray[np.float64], weights: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the expected calibration error of each weighted sample, shape ``(samples,)``.

    Args:
        sums: Counts of known labels, summed probabilities and positives, shape
            ``(3, cases, bins)``.
        weights: How often each case is there, shape ``(cases, samples)``.
    """
    counts, probabilities, positives = (weights.T @ each for each in sums)
    total = counts.sum(axis=1)
    distance = np.abs(probabilities - positives).sum(axis=1)
    return np.divide(distance, total, out=np.full_like(total, np.nan), where=total > 0)


def _cross_entropy(labels: BoolArray, logits: FloatArray, scale: float) -> float:
    total = 0.0
    rows_at_once = max(1, _ROWS_CELLS // labels.shape[1])
    for first in range(0, len(labels), rows_at_once):
        rows = slice(first, first + rows_at_once)
        scaled = logits[rows] * logits.dtype.type(scale)
        total += float(np.logaddexp(0.0, scaled, dtype=scaled.dtype).sum(dtype=np.float64))
        total -= float(scaled.sum(where=labels[rows], dtype=np.float64))
    return total / labels.size


def _softmax_cross_entropy(labels: BoolArray, logits: FloatArray, scale: float) -> float:
    num_labelled = max(1, int(labels.any(axis=1).sum()))
    return float(-log_softmax(logits * scale, axis=1).sum(where=labels)) / num_labelled


def _probability_rows(scores: FloatArray) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield slices of cases with their probabilities in float64, a bounded number at a time."""
    rows_at_once = max(1, _ROWS_CELLS // scores.shape[1])
    for first in range(0, len(scores), rows_at_once):
        rows = slice(first, first + rows_at_once)
        yield rows, expit(scores[rows].astype(np.float64))
