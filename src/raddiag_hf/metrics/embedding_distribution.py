"""Out-of-distribution score: how far the scans of a case lie from those of the training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ALARM_RATE = 0.05
"""Share of cases like those of the training that count as far: the p-value of an alarm."""
MOST_AXES = 32
"""Directions whose variance is known one by one; more told no better in and out apart."""
SCANS_PER_AXIS = 4
FEWEST_SCANS, FEWEST_CASES = 8, 4
"""Training scans and validation cases below which nothing is fitted."""


@dataclass(frozen=True, eq=False)
class EmbeddingDistribution:
    """A Gaussian of scan embeddings, and how far cases like those of the training lie from it.

    It has means and variances alone, of no single scan. A case's distance is that of its farthest
    scan. Its p-value is the chance of a distance as large in a case like those of validation: their
    logarithms are taken for normal, so that a few cases suffice, and few of them widen the limit.

    Attributes:
        mean: Of training scans, ``(hidden,)``.
        axes: Directions of most variance, orthonormal, ``(axes, hidden)``.
        variances: Along the axes, ``(axes,)``.
        residual_variance: Along every other direction.
        log_mean, log_spread: Of the logarithms of validation cases' distances.
        num_scans: Training scans.
        num_cases: Validation cases.

    Raises:
        ValueError: If shapes disagree or a number is out of its range.

    Source:
        Distance: Lee et al., A simple unified framework for detecting out-of-distribution samples,
        NeurIPS 2018, without its classes. Covariance: Tipping & Bishop, Probabilistic principal
        component analysis, 1999. p-value: the predictive distribution of one more normal value.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    variances: NDArray[np.float64]
    residual_variance: float
    log_mean: float
    log_spread: float
    num_scans: int
    num_cases: int

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.axes.shape != (len(self.variances), len(self.mean)):
            raise ValueError(
                f"mean, axes and variances have shapes {self.mean.shape}, {self.axes.shape} and "
                f"{self.variances.shape}, expected (hidden,), (axes, hidden) and (axes,)"
            )
        scales = [*self.variances.tolist(), self.residual_variance, self.log_spread]
        numbers = [*scales, self.log_mean, *self.mean.tolist(), *self.axes.ravel().tolist()]
        if not np.isfinite(numbers).all() or min(scales) <= 0:
            raise ValueError("expected finite numbers, and variances above 0")
        if self.num_cases < FEWEST_CASES or self.num_scans < FEWEST_SCANS:
            raise ValueError(
                f"there are {self.num_scans} training scans and {self.num_cases} validation cases, "
                f"expected at least {FEWEST_SCANS} and {FEWEST_CASES}"
            )

    @classmethod
    def fit(
        cls,
        training: NDArray[np.floating],
        validation: NDArray[np.floating],
        validation_counts: NDArray[np.integer],
    ) -> "EmbeddingDistribution":
        """Fit the Gaussian to training scans, and the limit to validation cases.

        Args:
            training: Embeddings of training scans, ``(scans, hidden)``.
            validation: Of the scans of validation cases, case by case.
            validation_counts: Scans of each validation case, each at least 1.

        Raises:
            ValueError: If there are too few, or they do not differ: nothing can be said then.
        """
        if not (np.isfinite(training).all() and np.isfinite(validation).all()):
            raise ValueError("embeddings are not all finite")
        scans, hidden = training.shape
        mean = training.mean(0, dtype=np.float64)
        _, spread, directions = np.linalg.svd(training - mean, full_matrices=False)
        variances = spread**2 / max(scans - 1, 1)
        num_axes = min(MOST_AXES, scans // SCANS_PER_AXIS, hidden // 2)
        residual = float(variances[num_axes:].sum() / max(hidden - num_axes, 1))
        gaussian = (mean, directions[:num_axes], variances[:num_axes] + residual, residual)
        if residual <= np.finfo(np.float32).tiny:
            raise ValueError("all training scans have the same embedding")
        cases = np.log(_farthest(_distances(validation, *gaussian), validation_counts))
        counts = (scans, len(cases))
        spread_of_cases = float(cases.std(ddof=1)) if len(cases) > 1 else 0.0
        return cls(*gaussian, float(cases.mean()), spread_of_cases, *counts)

    def distances(self, embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how far scans lie from those of the training, in standard deviations.

        Args:
            embeddings: Shape ``(scans, hidden)``.

        Returns:
            Shape ``(scans,)``.
        """
        return _distances(embeddings, self.mean, self.axes, self.variances, self.residual_variance)

    def case_distances(
        self, embeddings: NDArray[np.floating], scan_counts: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return the distance of each case, that of its farthest scan, ``(cases,)``.

        Args:
            embeddings: Of all scans, case by case, ``(scans, hidden)``.
            scan_counts: Scans of each case, each at least 1.
        """
        return _farthest(self.distances(embeddings), scan_counts)

    def p_values(self, case_distances: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the chance that a case like those of validation lies as far, in (0, 1)."""
        z = (np.log(np.maximum(case_distances, np.finfo(float).tiny)) - self.log_mean) / self._scale
        return np.asarray(stats.t.sf(z, self.num_cases - 1), np.float64)

    @property
    def limit(self) -> float:
        """The distance beyond which a case counts as far."""
        z = stats.t.isf(ALARM_RATE, self.num_cases - 1)
        return float(np.exp(self.log_mean + z * self._scale))

    @property
    def _scale(self) -> float:
        return self.log_spread * float(np.sqrt(1 + 1 / self.num_cases))


def _distances(
    embeddings: NDArray[np.floating],
    mean: NDArray[np.float64],
    axes: NDArray[np.float64],
    variances: NDArray[np.float64],
    residual_variance: float,
) -> NDArray[np.float64]:
    centred = embeddings.astype(np.float64) - mean
    along = centred @ axes.T
    beside = centred - along @ axes
    squared = (along**2 / variances).sum(1) + (beside**2).sum(1) / residual_variance
    return np.sqrt(squared)


def _farthest(
    distances: NDArray[np.float64], scan_counts: NDArray[np.integer]
) -> NDArray[np.float64]:
    starts = np.concatenate([[0], np.cumsum(scan_counts)[:-1]]).astype(np.intp)
    return np.asarray(np.maximum.reduceat(distances, starts), np.float64)
