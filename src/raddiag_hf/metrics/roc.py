"""The mean ROC curve of a group of classes, and its band over bootstrap resamples."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.curve_counts import Counts, CurveCounts

DEFAULT_FPR_GRID: NDArray[np.float64] = np.linspace(0.0, 1.0, 201)


@dataclass(frozen=True)
class RocCurve:
    """A group's mean ROC curve: at each false-positive rate, the mean recall of its classes.

    The recall of a class is the highest whose false-positive rate does not exceed the grid's, so
    the curve passes through the group's recall@FPR. All arrays have shape ``(grid,)``.

    Attributes:
        false_positive_rates: The grid.
        recalls: The point estimate.
        low: Lower edge of the pointwise band; None where nothing was resampled.
        high: Upper edge of the band.
    """

    false_positive_rates: NDArray[np.float64]
    recalls: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


class MeanRocAccumulator:
    """Adds up ROC curves block by block; holds one curve per group and sample, none per class.

    Args:
        memberships: 0/1, shape ``(groups, columns)``: which classes each group averages over.
        grid: False-positive rates, rising from 0 to 1.
        num_samples: Number of weighted samples.
    """

    def __init__(
        self, memberships: NDArray[np.bool_], grid: NDArray[np.float64], num_samples: int
    ) -> None:
        self._memberships = memberships
        self._grid = grid
        self._rises = np.zeros((len(memberships), num_samples, len(grid)))
        self._classes = np.zeros((len(memberships), num_samples))

    def add(self, counts: CurveCounts, classes: NDArray[np.intp], first_sample: int) -> None:
        """Add a block of classes.

        Args:
            counts: Their counts.
            classes: Their columns.
            first_sample: Place of the block's first sample among all samples.
        """
        samples = slice(first_sample, first_sample + counts.positives.shape[1])
        defined = (counts.positives > 0) & (counts.negatives > 0)
        share = np.divide(1.0, counts.positives, out=np.zeros_like(counts.positives), where=defined)
        rise = counts.positives_at * counts.to_levels(share)
        place = self._flat_places(counts.false_positive_rates)
        size = rise.shape[1] * len(self._grid)
        for group, members in enumerate(self._memberships[:, classes]):
            if not members.any():
                continue
            levels = counts.to_levels(members[:, None])[:, 0]
            added = np.bincount(place[levels].ravel(), rise[levels].ravel(), minlength=size)
            self._rises[group, samples] += added.reshape(-1, len(self._grid))
            self._classes[group, samples] += defined[members].sum(axis=0)

    def mean_recalls(self) -> Counts:
        """Return the mean curves, shape ``(groups, samples, grid)``; NaN where no class counts."""
        summed = np.cumsum(self._rises, axis=-1)
        classes = self._classes[..., None]
        mean = np.divide(summed, classes, out=np.full_like(summed, np.nan), where=classes > 0)
        return np.minimum(mean, 1.0)

    def _flat_places(self, rates: Counts) -> NDArray[np.intp]:
        """Return the first grid point at or beyond each rate, counted through all samples."""
        # A rate is NaN only where its rise is 0; it may land anywhere on the grid.
        place = np.minimum(np.searchsorted(self._grid, rates), len(self._grid) - 1)
        place += np.arange(rates.shape[1]) * len(self._grid)
        return place
