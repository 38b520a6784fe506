"""How sure the difference between two encoders on the same queries is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIN_CLUSTERS = 5
"""Clusters that an interval needs: resamples of fewer are too much alike to say anything."""


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
class PairedComparison:
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


def compare_paired(
    base: FloatArray,
    tuned: FloatArray,
    clusters: Sequence[str],
    *,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedComparison:
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
    return PairedComparison(base_mean, tuned_mean, difference, len(base), len(sizes))
