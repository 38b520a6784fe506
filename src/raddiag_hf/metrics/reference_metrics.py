"""The reference implementation's numbers, for comparison with the paper's tables.

They differ from ours where the reference differs from the paper's text: scores saturate, thresholds
are chosen on the test labels themselves, and recall at a false-positive rate is read at the
nearest vertex of a thinned curve.

Source:
    ``src/Train`` of qiaoyu-zheng/RP3D-Diag, whose functions call scikit-learn.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from raddiag_hf.metrics.curves import ConfusionCounts
from raddiag_hf.metrics.predictions import BoolArray, FloatArray, known_counts
from raddiag_hf.metrics.ranking import evaluable_classes, gather_columns
from raddiag_hf.metrics.sampled_metrics import recall_name, to_columns

_LOGIT_LIMIT = 60.0
_CLASSES_AT_ONCE = 256


def official_scores(logits: FloatArray) -> NDArray[np.float32]:
    """Return the float32 sigmoid of the clipped logits, in which large logits tie at 1.0."""
    clipped = np.clip(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT).astype(np.float32, copy=False)
    return expit(clipped, out=clipped)


def official_decisions(
    labels: BoolArray, scores: NDArray[np.float32], recall_at: Sequence[float]
) -> dict[str, NDArray[np.float64]]:
    """Return F1, MCC, accuracy, threshold and recalls as the reference computes them.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: What `official_scores` returned; NaN where the label is unknown.
        recall_at: False-positive rates.

    Returns:
        ``f1, mcc, acc, threshold`` and one recall per rate, each of shape ``(classes,)``; NaN for
        classes without positives or without negatives.
    """
    classes = evaluable_classes(labels, scores)
    known = known_counts(scores)[classes]
    table = np.empty((len(classes), 3 + len(recall_at)))
    for first in range(0, len(classes), _CLASSES_AT_ONCE):
        block = classes[first : first + _CLASSES_AT_ONCE]
        columns, present = gather_columns(scores, block), gather_columns(labels, block)
        positive_scores = [
            np.sort(column[is_positive])
            for column, is_positive in zip(columns, present, strict=True)
        ]
        columns.sort(axis=1)  # NaN last
        for index, (column, positives) in enumerate(zip(columns, positive_scores, strict=True)):
            ordered = column[: known[first + index]]
            table[first + index] = _read_curve(ordered, positives, recall_at)
    support = np.count_nonzero(labels, axis=0)[classes].astype(np.float64)
    found, false_alarms, threshold, *recalls = table.T
    decisions = ConfusionCounts(found, false_alarms, support, known - support)
    values = {
        "f1": decisions.f1(),
        "mcc": decisions.mcc(),
        "acc": decisions.accuracy(),
        "threshold": threshold,
    }
    values |= {recall_name(rate): each for rate, each in zip(recall_at, recalls, strict=True)}
    return {name: to_columns(each, classes, labels.shape[1]) for name, each in values.items()}


def _read_curve(
    ordered: NDArray[np.float32],
    positive_scores: NDArray[np.float32],
    recall_at: Sequence[float],
) -> list[float]:
    """Read one class's curve; both arrays of scores are sorted, lowest first.

    Returns:
        True and false positives at the threshold of the highest F1, that threshold, and recalls.
    """
    cases, positives = len(ordered), len(positive_scores)
    first_of_tie = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    thresholds = ordered[first_of_tie]
    found = positives - _count_below(positive_scores, thresholds)
    false_alarms = cases - first_of_tie - found
    # Between two positives precision only falls, so that the best threshold is a positive's score.
    at_positives = np.flatnonzero(found > np.append(found[1:], 0))
    best = _first_best_f1(found[at_positives], false_alarms[at_positives], positives)
    chosen = at_positives[best]
    vertices = _thinned_vertices(false_alarms[::-1], found[::-1])
    rates = np.append(0, false_alarms[::-1][vertices]) / (cases - positives)
    recalls = np.append(0, found[::-1][vertices]) / positives
    return [
        float(found[chosen]),
        float(false_alarms[chosen]),
        float(thresholds[chosen]),
        *(float(recalls[np.argmin(np.abs(rates - rate))]) for rate in recall_at),
    ]


def _count_below(
    sorted_scores: NDArray[np.float32], thresholds: NDArray[np.float32]
) -> NDArray[np.intp]:
    """Count the scores below each threshold; few scores, many thresholds, both sorted."""
    steps = np.searchsorted(thresholds, sorted_scores, side="right")
    return np.cumsum(np.bincount(steps, minlength=len(thresholds) + 1))[: len(thresholds)]


def _first_best_f1(
    found: NDArray[np.intp], false_alarms: NDArray[np.intp], positives: int
) -> np.intp:
    """Return the lowest threshold of the highest F1, rounded as the reference rounds it."""
    precision, recall = found / (found + false_alarms), found / positives
    return np.argmax(2 * precision * recall / (precision + recall))


def _thinned_vertices(false_alarms: NDArray[np.intp], found: NDArray[np.intp]) -> NDArray[np.intp]:
    """Drop the inner points of straight runs, as scikit-learn's ``drop_intermediate`` does."""
    if len(found) <= 2:
        return np.arange(len(found))
    bends = (np.diff(false_alarms, 2) != 0) | (np.diff(found, 2) != 0)
    return np.flatnonzero(np.concatenate(([True], bends, [True])))
