"""Confidence intervals from resampled values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.curve_counts import Counts

IntervalMethod = Literal["centred", "percentile"]
"""How resampled values become an interval.

``"percentile"`` takes their percentiles. ``"centred"`` moves these by the bootstrap's estimate of
its bias (mean of the resampled values minus the point estimate). The two agree where resampling is
unbiased, as for AUC. For AP, F1 and MCC of rare classes it is not: a resample that holds a class's
only positive holds it 1.6 times on average, which raises precision, and the percentiles of a
long-tailed mean can lie wholly above the estimate (``benchmarks/interval_coverage.py``).
"""


@dataclass(frozen=True)
class Interval:
    """Ends of confidence intervals; arrays of one shape.

    Attributes:
        low: Lower end.
        high: Upper end.
        bias: Mean of the resampled values minus the point estimate.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bias: NDArray[np.float64]


def interval(
    samples: Counts,
    point: Counts,
    *,
    confidence: float,
    method: IntervalMethod,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the central interval of the defined samples along the last axis.

    Args:
        samples: Resampled values, shape ``(..., samples)``; NaN where a resample has none.
        point: Point estimates, shape ``(...)``.
        confidence: Nominal coverage, between 0 and 1.
        method: See `IntervalMethod`.
        value_range: Values that are possible; a moved interval is cut to it.

    Returns:
        Ends of shape ``(...)``; NaN where no sample is defined.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    if method not in ("centred", "percentile"):
        raise ValueError(f"interval method must be 'centred' or 'percentile', got {method!r}")
    ordered = np.sort(samples, axis=-1)
    is_defined = ~np.isnan(ordered)
    number = np.count_nonzero(is_defined, axis=-1)
    total = np.where(is_defined, ordered, 0.0).sum(axis=-1)
    bias = np.where(number > 0, total / np.maximum(number, 1), np.nan) - point
    tail = (1.0 - confidence) / 2.0
    low, high = _quantile(ordered, number, tail), _quantile(ordered, number, 1.0 - tail)
    if method == "centred":
        low, high = np.clip(low - bias, *value_range), np.clip(high - bias, *value_range)
    return Interval(low, high, bias)


def metric_range(name: str) -> tuple[float, float]:
    """Return the lowest and highest value of a metric."""
    return (-1.0, 1.0) if name == "mcc" else (0.0, 1.0)


def _quantile(ordered: Counts, number: NDArray[np.intp], quantile: float) -> Counts:
    """Interpolate linearly among the first ``number`` values, which are sorted."""
    last = np.maximum(number - 1, 0)
    place = quantile * last
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, last)
    low = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, above[..., None], axis=-1)[..., 0]
    return low + (place - below) * (high - low)
