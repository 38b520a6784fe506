"""The bootstrap: intervals from resampled values, and two means on the same clusters compared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.bootstrap_settings import IntervalMethod

MIN_CLUSTERS = 5
"""Clusters that an interval needs: resamples of fewer are too much alike to say anything."""
_ROUNDING = 1e-9
"""Width of an interval that is but the rounding of sums."""


@dataclass(frozen=True)
class Interval:
    """Ends of confidence intervals; arrays of one shape, NaN where there is none.

    Attributes:
        low: Lower end.
        high: Upper end.
        bias: Mean of the resampled values minus the point estimate.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    bias: NDArray[np.float64]

    def closed_at(self, curve: NDArray[np.float64]) -> "Interval":
        """Return the band of a curve: as narrow as the curve where there is no interval."""
        low, high = (np.where(np.isnan(end), curve, end) for end in (self.low, self.high))
        return Interval(low, high, self.bias)


def interval(
    samples: NDArray[np.float64],
    point: NDArray[np.float64],
    *,
    confidence: float,
    method: IntervalMethod,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the central interval of the defined samples along the last axis.

    Where its ends coincide the samples hardly vary, which says nothing of how sure an estimate is:
    there is no interval. A centred one is drawn out to the point estimate where few samples, far
    away, move the mean beyond the percentiles.

    Args:
        samples: Resampled values, shape ``(..., samples)``; NaN where a resample has none.
        point: Point estimates, shape ``(...)``.
        confidence: Nominal coverage, between 0 and 1.
        method: See `IntervalMethod`.
        value_range: Values that are possible; a moved interval is cut to it.

    Returns:
        Ends of shape ``(...)``; NaN where no sample is defined, or where they hardly vary.
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
    varies = high - low > _ROUNDING
    if method == "centred":
        low = np.minimum(np.clip(low - bias, *value_range), point)
        high = np.maximum(np.clip(high - bias, *value_range), point)
    return Interval(np.where(varies, low, np.nan), np.where(varies, high, np.nan), bias)


@dataclass(frozen=True)
class Estimate:
    """A mean with its percentile interval.

    Attributes:
        value: On the queries themselves.
        low: Lower end; NaN where there are fewer than `MIN_CLUSTERS` clusters.
        high: Upper end; likewise.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedMeans:
    """Two means over the same queries, and their difference.

    Attributes:
        base: Of the first.
        tuned: Of the second.
        difference: Second minus first, query by query.
        queries: Number of queries.
        clusters: Number of units that were drawn; below `MIN_CLUSTERS` there are no intervals.
    """

    base: Estimate
    tuned: Estimate
    difference: Estimate
    queries: int
    clusters: int


def compare_paired_means(
    base: NDArray[np.float64],
    tuned: NDArray[np.float64],
    clusters: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedMeans:
    """Bootstrap two means and their difference, drawing whole clusters with replacement.

    Args:
        base: Value of each query, ``(queries,)``.
        tuned: The other's value of the same queries, ``(queries,)``.
        clusters: What each query belongs to; queries of one cluster are alike, so that drawing
            them one by one would give too narrow intervals.
        resamples: Number of resamples.
        confidence: Nominal coverage.
        seed: Of the draw.

    Raises:
        ValueError: If there is no query, or the three differ in length.
    """
    if not len(base) == len(tuned) == len(clusters) or len(base) == 0:
        raise ValueError(
            f"{len(base)} and {len(tuned)} values in {len(clusters)} clusters, expected as many of "
            "each, and at least one"
        )
    values = np.stack([base, tuned, tuned - base])
    owner = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sizes = np.bincount(owner)
    sums = np.stack([np.bincount(owner, weights=row) for row in values])
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=resamples)
    means = (sums @ drawn.T) / (drawn @ sizes)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=1)
    if len(sizes) < MIN_CLUSTERS:
        low, high = np.full((2, len(values)), np.nan)
    base_mean, tuned_mean, difference = (
        Estimate(float(value), float(bottom), float(top))
        for value, bottom, top in zip(values.mean(axis=1), low, high, strict=True)
    )
    return PairedMeans(base_mean, tuned_mean, difference, len(base), len(sizes))


def _quantile(
    ordered: NDArray[np.float64], number: NDArray[np.intp], quantile: float
) -> NDArray[np.float64]:
    """Interpolate linearly among the first ``number`` values, which are sorted."""
    last = np.maximum(number - 1, 0)
    place = quantile * last
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, last)
    low = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
    high = np.take_along_axis(ordered, above[..., None], axis=-1)[..., 0]
    return low + (place - below) * (high - low)
