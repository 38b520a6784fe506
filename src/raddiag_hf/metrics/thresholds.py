"""Probability thresholds: chosen on validation cases for each class, and as cut-offs on logits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from raddiag_hf.metrics.curves import CurveCounts, best_f1_levels
from raddiag_hf.metrics.predictions import (
    BoolArray,
    FloatArray,
    check_predictions,
    known_counts,
)
from raddiag_hf.metrics.ranking import ranked_blocks
from raddiag_hf.metrics.threshold_rule import MIN_POSITIVES

_CASES_AT_ONCE = 256


@dataclass(frozen=True)
class DecisionThresholds:
    """A threshold for every class, and how it came about.

    A class counts as predicted where ``sigmoid(logit) >= probability``.

    Attributes:
        probabilities: Shape ``(classes,)``.
        is_pooled: True for classes with too little support for a threshold of their own, which
            share one chosen on all such classes together, shape ``(classes,)``.
        criterion: What was sought, in words.
        support: The support that a class needs for its own threshold, in words.
        num_cases: Validation cases.
    """

    probabilities: NDArray[np.float64]
    is_pooled: NDArray[np.bool_]
    criterion: str
    support: str
    num_cases: int

    def describe(self) -> str:
        """Say where the thresholds come from, in one sentence."""
        pooled = int(self.is_pooled.sum())
        own = len(self.is_pooled) - pooled
        has_own = (
            "1 class has a threshold of its own"
            if own == 1
            else f"{own} classes have a threshold of their own"
        )
        shares = "has that of all classes together" if pooled == 1 else "share one"
        return (
            f"{self.criterion} on {self.num_cases} validation "
            f"{'case' if self.num_cases == 1 else 'cases'}; {has_own}, {pooled} with fewer than "
            f"{self.support} {shares}"
        )


def choose_f1_thresholds(
    labels: ArrayLike, logits: ArrayLike, *, min_positives: int | None = MIN_POSITIVES
) -> DecisionThresholds:
    """Choose the threshold with the highest F1 for each class.

    Classes with fewer positives share one threshold: the highest F1 over all their predictions
    taken together. It assumes that probabilities of rare classes mean the same, which is less wrong
    than a threshold read off one or two cases.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``, of validation cases.
        logits: Shape ``(cases, classes)``.
        min_positives: Positives that a class needs for a threshold of its own. None is the paper's
            rule: one suffices, so that only classes without any share a threshold.

    Returns:
        Thresholds half-way between the lowest predicted probability and the next lower one, so
        that rounding elsewhere moves no case across.

    Raises:
        ValueError: If the data hold too few positives to choose any threshold.

    Source:
        The paper, section 4.3.4, chooses by F1 on validation for every class; the floor is ours.
    """
    floor = 1 if min_positives is None else min_positives
    present, probabilities = _check(labels, logits, min_positives=floor)
    positives = np.count_nonzero(present, axis=0)
    return _choose(
        present,
        probabilities,
        rule=_best_f1_thresholds,
        pool_rule=_pooled_f1_threshold,
        support=np.where(positives < known_counts(probabilities), positives, 0),
        floor=floor,
        criterion="highest F1" if min_positives else "highest F1 of each class (the paper's rule)",
        unit="positive",
    )


def choose_fpr_thresholds(
    labels: ArrayLike, logits: ArrayLike, *, target_fpr: float, min_negatives: int = 100
) -> DecisionThresholds:
    """Choose the lowest threshold whose false-positive rate does not exceed a target.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``, of validation cases.
        logits: Shape ``(cases, classes)``.
        target_fpr: Between 0 and 1.
        min_negatives: Negatives that a class needs for a threshold of its own; the others share
            one. No positives are needed.

    Raises:
        ValueError: If the target is out of range, or the data hold too few negatives to choose any
            threshold.
    """
    if not 0.0 < target_fpr < 1.0:
        raise ValueError(f"target_fpr must lie between 0 and 1, got {target_fpr}")
    present, probabilities = _check(labels, logits, min_negatives=min_negatives)
    return _choose(
        present,
        probabilities,
        rule=lambda columns, values: _fpr_thresholds(columns, values, target_fpr),
        pool_rule=lambda pool, values: float(
            _fpr_thresholds(pool.reshape(-1, 1), values.reshape(-1, 1), target_fpr)[0]
        ),
        support=known_counts(probabilities) - np.count_nonzero(present, axis=0),
        floor=min_negatives,
        criterion=f"false-positive rate at most {target_fpr:g}",
        unit="negative",
    )


def best_f1_scores(labels: BoolArray, scores: FloatArray) -> NDArray[np.float64]:
    """Return the score of each class from which its F1 is highest; of equals, the lowest score.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``, finite; NaN where the label is unknown.

    Returns:
        Shape ``(classes,)``; NaN for classes without positives or without negatives.
    """
    found = np.full(labels.shape[1], np.nan)
    once = np.ones((len(labels), 1), dtype=np.float32)
    for block in ranked_blocks(labels, scores):
        found[block.classes] = block.level_scores[best_f1_levels(block.count(once))[:, 0]]
    return found


def logit_cutoffs(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the lowest float64 logits whose sigmoid reaches the given probabilities.

    ``logit >= cutoff`` then decides exactly as ``sigmoid(logit) >= probability`` in float64 does,
    which the inverse function alone would not: it is off by rounding, and a probability of 1.0
    belongs to a whole range of logits.

    Args:
        probabilities: Thresholds; 0 or less is always reached (``-inf``), more than 1 never
            (``inf``).
    """
    target = np.asarray(probabilities, dtype=np.float64)
    # The sigmoid leaves 0 at a logit of about -745 and reaches 1.0 at about 37.
    low, high = np.full(target.shape, -800.0), np.full(target.shape, 40.0)
    while True:
        middle = low + (high - low) / 2.0
        moves = (middle > low) & (middle < high)
        if not moves.any():
            break
        reached = expit(middle) >= target
        high = np.where(reached & moves, middle, high)
        low = np.where(~reached & moves, middle, low)
    return np.where(target <= 0.0, -np.inf, np.where(target > 1.0, np.inf, high))


def _check(
    labels: ArrayLike, logits: ArrayLike, **floors: int
) -> tuple[BoolArray, NDArray[np.float64]]:
    for name, floor in floors.items():
        if floor < 1:
            raise ValueError(f"{name} must be at least 1, got {floor}")
    present, scores = check_predictions(labels, logits)
    return present, expit(scores.astype(np.float64))


def _choose(
    present: BoolArray,
    probabilities: NDArray[np.float64],
    *,
    rule: Callable[[BoolArray, FloatArray], NDArray[np.float64]],
    pool_rule: Callable[[BoolArray, FloatArray], float],
    support: NDArray[np.intp],
    floor: int,
    criterion: str,
    unit: str,
) -> DecisionThresholds:
    is_pooled = support < floor
    chosen = np.empty(len(support))
    chosen[~is_pooled] = rule(present[:, ~is_pooled], probabilities[:, ~is_pooled])
    if is_pooled.any():
        pool = is_pooled if support[is_pooled].sum() >= floor else np.ones_like(is_pooled)
        if support[pool].sum() < floor:
            raise ValueError(
                f"{len(present)} validation cases hold {support[pool].sum()} {unit}s in all "
                f"classes together, but a threshold needs {floor}"
            )
        chosen[is_pooled] = pool_rule(present[:, pool], probabilities[:, pool])
    return DecisionThresholds(
        probabilities=chosen,
        is_pooled=is_pooled,
        criterion=criterion,
        support=f"{floor} {unit if floor == 1 else unit + 's'}",
        num_cases=len(present),
    )


def _best_f1_thresholds(labels: BoolArray, probabilities: FloatArray) -> NDArray[np.float64]:
    lowest_predicted = best_f1_scores(labels, probabilities)
    thresholds = np.empty(len(lowest_predicted))
    for index, (upper, column) in enumerate(zip(lowest_predicted, probabilities.T, strict=True)):
        lower = column.max(where=column < upper, initial=0.0)
        thresholds[index] = _between(lower, upper)
    return thresholds


def _pooled_f1_threshold(labels: BoolArray, probabilities: FloatArray) -> float:
    """Choose over all predictions of a pool of classes, reading a bounded number at a time."""
    levels, positives_at = np.unique(probabilities[labels], return_counts=True)
    passed = np.zeros(len(levels) + 1, dtype=np.intp)
    for first in range(0, len(labels), _CASES_AT_ONCE):
        rows = slice(first, first + _CASES_AT_ONCE)
        negatives = probabilities[rows][~labels[rows]]
        place = np.searchsorted(levels, negatives[~np.isnan(negatives)], side="right")
        passed += np.bincount(place, minlength=len(passed))
    counts = CurveCounts.from_levels(
        starts=np.zeros(1, dtype=np.intp),
        positives_at=positives_at[::-1, None].astype(np.float64),
        negatives_between=passed[:0:-1, None].astype(np.float64),
        negatives_tied=np.zeros((len(levels), 1)),
        total=known_counts(probabilities).sum(dtype=np.float64, keepdims=True),
    )
    upper = levels[::-1][best_f1_levels(counts)[0, 0]]
    return _between(probabilities.max(where=probabilities < upper, initial=0.0), upper)


def _fpr_thresholds(
    labels: BoolArray, probabilities: FloatArray, target: float
) -> NDArray[np.float64]:
    thresholds = np.empty(labels.shape[1])
    for index, (is_positive, column) in enumerate(zip(labels.T, probabilities.T, strict=True)):
        negatives = np.sort(column[~is_positive & ~np.isnan(column)])[::-1]
        rates = np.arange(1, len(negatives) + 1) / len(negatives)
        lower = negatives[np.count_nonzero(rates <= target)]
        # Where no case lies above, not even a probability of 1.0 may reach the threshold.
        upper = column.min(where=column > lower, initial=np.nextafter(1.0, 2.0))
        thresholds[index] = _between(lower, upper)
    return thresholds


def _between(lower: float, upper: float) -> float:
    """Return the middle, or ``upper`` where no number lies between."""
    middle = lower + (upper - lower) / 2.0
    return middle if middle > lower else upper
