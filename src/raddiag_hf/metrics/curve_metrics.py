"""AUC, average precision, best F1 and recall at a false-positive rate, for many classes at once.

Each takes the counts of a block of classes and returns one value per class and sample, shape
``(classes, samples)``; NaN where a sample holds no positive or no negative of the class.
"""

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.confusion import ConfusionCounts
from raddiag_hf.metrics.curve_counts import Counts, CurveCounts


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
        The reference takes the nearest vertex of a thinned curve instead; see ``official``.
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


def _divide(
    numerator: Counts, denominator: Counts, undefined: NDArray[np.bool_] | None = None
) -> Counts:
    defined = denominator > 0 if undefined is None else (denominator > 0) & ~undefined
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=defined)
