"""ROC curves of many classes as counts, and the metrics that follow from them.

Each metric takes the counts of a block of classes and returns one value per class and sample, shape
``(classes, samples)``; NaN where a sample holds no positive or no negative of the class.
"""

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
            total: Cases in each sample, shape ``(samples,)``; or those whose label is known, of
                each class, shape ``(classes, samples)``.
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


@dataclass(frozen=True)
class ConfusionCounts:
    """True and false positives among positives and negatives; arrays of one shape."""

    true_positives: Counts
    false_positives: Counts
    positives: Counts
    negatives: Counts

    def f1(self) -> Counts:
        """Harmonic mean of precision and recall; NaN where nothing is positive or predicted."""
        return _divide(
            2 * self.true_positives,
            self.positives + self.true_positives + self.false_positives,
        )

    def mcc(self) -> Counts:
        """Matthews correlation coefficient; 0 where every case gets the same prediction.

        Source:
            The paper, section 4.3.4; the value 0 for 0/0 is scikit-learn's.
        """
        predicted = self.true_positives + self.false_positives
        total = self.positives + self.negatives
        # (tp tn - fp fn) over the root of the four margins, with tn and fn written out.
        covariance = self.true_positives * total - predicted * self.positives
        scale = np.sqrt(predicted * (total - predicted)) * np.sqrt(self.positives * self.negatives)
        return np.divide(covariance, scale, out=np.zeros_like(scale), where=scale > 0)

    def accuracy(self) -> Counts:
        """Share of cases that are predicted correctly."""
        right = self.true_positives + self.negatives - self.false_positives
        return _divide(right, self.positives + self.negatives)


def area_under_roc(counts: CurveCounts) -> Counts:
    """Return the chance that a positive outranks a negative, a tie counting one half."""
    passed = counts.false_positives + counts.false_positives_above
    passed *= counts.positives_at
    lost = np.add.reduceat(passed, counts.starts, axis=0)
    return 1.0 - _divide(lost, 2.0 * counts.positives * counts.negatives)


def average_precision(counts: CurveCounts) -> Counts:
    """Return the precision at each positive's score, averaged over the positives."""
    predicted = counts.true_positives + counts.false_positives
    precision = np.divide(
        counts.true_positives, predicted, out=np.zeros_like(predicted), where=predicted > 0
    )
    precision *= counts.positives_at
    total = np.add.reduceat(precision, counts.starts, axis=0)
    return _divide(total, counts.positives, undefined=counts.negatives == 0)


def recall_at_fpr(counts: CurveCounts, false_positive_rate: float) -> Counts:
    """Return the highest recall whose false-positive rate does not exceed the given one.

    Source:
        The reference takes the nearest vertex of a thinned curve instead; see `reference_metrics`.
    """
    within = counts.false_positive_rates <= false_positive_rate
    recalled = np.maximum.reduceat(np.where(within, counts.true_positives, 0.0), counts.starts)
    return _divide(recalled, counts.positives, undefined=counts.negatives == 0)


def best_f1_levels(counts: CurveCounts) -> NDArray[np.intp]:
    """Return the level with the highest F1 in each class and sample; of equals, the lowest score.

    Equal fractions of whole numbers round to equal floats, so that ties are exact.
    """
    f1 = 2.0 * counts.true_positives
    denominator = counts.to_levels(counts.positives)
    denominator += counts.true_positives
    denominator += counts.false_positives
    np.divide(f1, denominator, out=f1, where=denominator > 0)
    is_best = f1 == counts.to_levels(np.maximum.reduceat(f1, counts.starts))
    level = np.arange(len(f1))[:, None]
    return np.maximum.reduceat(np.where(is_best, level, -1), counts.starts)


def confusion_at_levels(counts: CurveCounts, levels: NDArray[np.intp]) -> ConfusionCounts:
    """Return the confusion matrices when each class and sample is cut at a level of its own.

    Args:
        counts: The counts of a block of classes.
        levels: One level per class and sample, shape ``(classes, samples)``.
    """
    return ConfusionCounts(
        true_positives=np.take_along_axis(counts.true_positives, levels, axis=0),
        false_positives=np.take_along_axis(counts.false_positives, levels, axis=0),
        positives=counts.positives,
        negatives=counts.negatives,
    )


def _running_sum(values: Counts, starts: NDArray[np.intp]) -> Counts:
    """Sum along the levels, from zero at the start of each class."""
    running = np.cumsum(values, axis=0)
    before = running[starts] - values[starts]
    running -= np.repeat(before, np.diff(starts, append=len(values)), axis=0)
    return running


def _divide(
    numerator: Counts, denominator: Counts, undefined: NDArray[np.bool_] | None = None
) -> Counts:
    defined = denominator > 0 if undefined is None else (denominator > 0) & ~undefined
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=defined)
