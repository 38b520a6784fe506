"""The corners of many classes' ROC curves as counts, from which every ranking metric follows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class CurveCounts:
    """Cases at or above each level of a block of classes, in each of several weighted samples.

    The levels of a class are the distinct scores of its positives, highest first; classes follow
    each other. Counts are whole numbers held in float64.

    Attributes:
        starts: First level of each class, shape ``(classes,)``.
        positives_at: Positives at the level itself, shape ``(levels, samples)``.
        true_positives: Positives at or above the level, shape ``(levels, samples)``.
        false_positives: Negatives at or above the level, shape ``(levels, samples)``.
        false_positives_above: Negatives strictly above it, shape ``(levels, samples)``.
        positives: All positives of each class, shape ``(classes, samples)``.
        negatives: All negatives of each class, shape ``(classes, samples)``.
    """

    starts: NDArray[np.intp]
    positives_at: Counts
    true_positives: Counts
    false_positives: Counts
    false_positives_above: Counts
    positives: Counts
    negatives: Counts

    @classmethod
    def from_levels(
        cls,
        starts: NDArray[np.intp],
        positives_at: Counts,
        negatives_between: Counts,
        negatives_tied: Counts,
        total: Counts,
    ) -> "CurveCounts":
        """Add up what lies at and between the levels.

        Args:
            starts: First level of each class.
            positives_at: Positives at each level.
            negatives_between: Negatives above the level and below the one before.
            negatives_tied: Negatives at the level.
            total: Cases in each sample, shape ``(samples,)``.
        """
        true_positives = _running_sum(positives_at, starts)
        false_positives = _running_sum(negatives_between + negatives_tied, starts)
        ends = np.append(starts[1:], len(positives_at)) - 1
        positives = true_positives[ends]
        return cls(
            starts=starts,
            positives_at=positives_at,
            true_positives=true_positives,
            false_positives=false_positives,
            false_positives_above=false_positives - negatives_tied,
            positives=positives,
            negatives=total - positives,
        )

    @cached_property
    def false_positive_rates(self) -> Counts:
        """False-positive rate at each level, shape ``(levels, samples)``; NaN without negatives."""
        negatives = self.to_levels(self.negatives)
        return np.divide(
            self.false_positives,
            negatives,
            out=np.full_like(negatives, np.nan),
            where=negatives > 0,
        )

    def to_levels(self, per_class: Counts) -> Counts:
        """Repeat one value per class, shape ``(classes, samples)``, for each of its levels."""
        return np.repeat(per_class, np.diff(self.starts, append=len(self.positives_at)), axis=0)


def _running_sum(values: Counts, starts: NDArray[np.intp]) -> Counts:
    """Sum along the levels, from zero at the start of each class."""
    running = np.cumsum(values, axis=0)
    before = running[starts] - values[starts]
    running -= np.repeat(before, np.diff(starts, append=len(values)), axis=0)
    return running
