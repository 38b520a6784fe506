"""DeLong's variance of the AUC: intervals without resampling, and a test for two models.

Source:
    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837-845.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from raddiag_hf.metrics.curves import Counts, CurveCounts, area_under_roc
from raddiag_hf.metrics.predictions import check_predictions
from raddiag_hf.metrics.ranking import ranked_blocks


@dataclass(frozen=True)
class DeLongIntervals:
    """AUC of each class with its normal-approximation interval; arrays of shape ``(classes,)``.

    The standard error and the interval are NaN for classes with fewer than two positives or two
    negatives: their variance cannot be estimated. Perfect separation gives an interval of no
    width, which says that the sample holds no evidence of variation, not that there is none.

    Attributes:
        auc: AUC; NaN for classes without positives or without negatives.
        standard_error: Its standard error.
        low: Lower end, not below 0.
        high: Upper end, not above 1.
        confidence: Nominal coverage.
    """

    auc: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    confidence: float


@dataclass(frozen=True)
class DeLongTest:
    """Comparison of two models' AUCs for one class on the same cases.

    Attributes:
        auc_a: AUC of the first model.
        auc_b: AUC of the second model.
        difference: First minus second.
        standard_error: Standard error of the difference.
        low: Lower end of the difference's interval.
        high: Upper end.
        p_value: Two-sided, of no difference; NaN where the standard error is 0.
        confidence: Nominal coverage of the interval.
    """

    auc_a: float
    auc_b: float
    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float
    confidence: float


def delong_intervals(
    labels: ArrayLike, scores: ArrayLike, *, confidence: float = 0.95
) -> DeLongIntervals:
    """Return the AUC of every class with DeLong's interval.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``.
        scores: Logits or probabilities, shape ``(cases, classes)``.
        confidence: Nominal coverage, between 0 and 1.

    Raises:
        ValueError: If labels or scores are malformed.
    """
    present, score_array = check_predictions(labels, scores)
    auc = np.full(present.shape[1], np.nan)
    error = np.full(present.shape[1], np.nan)
    once = np.ones((len(present), 1), dtype=np.float32)
    for block in ranked_blocks(present, score_array):
        counts = block.count(once)
        area = area_under_roc(counts)
        auc[block.classes] = area[:, 0]
        error[block.classes] = np.sqrt(_variance(counts, area))[:, 0]
    margin = norm.ppf(0.5 + confidence / 2.0) * error
    return DeLongIntervals(
        auc=auc,
        standard_error=error,
        low=np.maximum(auc - margin, 0.0),
        high=np.minimum(auc + margin, 1.0),
        confidence=confidence,
    )


def delong_test(
    labels: ArrayLike, scores_a: ArrayLike, scores_b: ArrayLike, *, confidence: float = 0.95
) -> DeLongTest:
    """Test whether two models' AUCs for one class differ on the same cases.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases,)``, with at least two positives and two
            negatives.
        scores_a: Scores of the first model, shape ``(cases,)``.
        scores_b: Scores of the second model, shape ``(cases,)``.
        confidence: Nominal coverage of the interval, between 0 and 1.

    Raises:
        ValueError: If the inputs are malformed or hold too few positives or negatives.
    """
    placed = []
    for scores in (scores_a, scores_b):
        present, column = check_predictions(
            np.asarray(labels)[:, None], np.asarray(scores)[:, None]
        )
        is_known = ~np.isnan(column)
        present, column = present[is_known], column[is_known]
        if min(present.sum(), (~present).sum()) < 2:
            raise ValueError(
                f"DeLong's test needs two positives and two negatives, got {present.sum()} and "
                f"{(~present).sum()}"
            )
        placed.append(_placements(present, column))
    (positives_a, negatives_a), (positives_b, negatives_b) = placed
    auc_a, auc_b = float(positives_a.mean()), float(positives_b.mean())
    variance = np.var(positives_a - positives_b, ddof=1) / len(positives_a)
    variance += np.var(negatives_a - negatives_b, ddof=1) / len(negatives_a)
    error = float(np.sqrt(variance))
    difference = auc_a - auc_b
    margin = float(norm.ppf(0.5 + confidence / 2.0)) * error
    return DeLongTest(
        auc_a=auc_a,
        auc_b=auc_b,
        difference=difference,
        standard_error=error,
        low=difference - margin,
        high=difference + margin,
        p_value=float(2.0 * norm.sf(abs(difference) / error)) if error > 0 else float("nan"),
        confidence=confidence,
    )


def _variance(counts: CurveCounts, auc: Counts) -> Counts:
    """Add the variances of the placements of positives and of negatives, ``(classes, samples)``.

    A positive's placement is the share of negatives below it, a negative's the share of positives
    above it; a tie counts one half. Cases between the same levels have equal placements.
    """
    positives, negatives = counts.to_levels(counts.positives), counts.to_levels(counts.negatives)
    centre = counts.to_levels(auc)
    passed = (counts.false_positives + counts.false_positives_above) / 2.0
    spread = counts.positives_at * (1.0 - passed / negatives - centre) ** 2
    of_positives = np.add.reduceat(spread, counts.starts, axis=0)

    found_above = counts.true_positives - counts.positives_at
    tied = counts.false_positives - counts.false_positives_above
    passed_before = np.roll(counts.false_positives, 1, axis=0)
    passed_before[counts.starts] = 0.0
    between = counts.false_positives_above - passed_before
    spread = between * (found_above / positives - centre) ** 2
    spread += tied * ((found_above + counts.positives_at / 2.0) / positives - centre) ** 2
    below_all = counts.negatives - np.maximum.reduceat(counts.false_positives, counts.starts)
    of_negatives = np.add.reduceat(spread, counts.starts, axis=0) + below_all * (1.0 - auc) ** 2

    enough = (counts.positives > 1) & (counts.negatives > 1)
    scale_p = np.where(enough, (counts.positives - 1) * counts.positives, np.nan)
    scale_n = np.where(enough, (counts.negatives - 1) * counts.negatives, np.nan)
    return of_positives / scale_p + of_negatives / scale_n


def _placements(
    is_positive: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the placements of the positives and of the negatives of one class."""
    overall = rankdata(scores)
    within_positives = rankdata(scores[is_positive])
    within_negatives = rankdata(scores[~is_positive])
    of_positives = (overall[is_positive] - within_positives) / len(within_negatives)
    of_negatives = 1.0 - (overall[~is_positive] - within_negatives) / len(within_positives)
    return of_positives, of_negatives
