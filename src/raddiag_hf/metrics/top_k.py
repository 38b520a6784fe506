"""Recall of a case's labels among its most probable ones: what a reader of a short list misses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.metrics.bootstrap import interval
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.evaluation_result import json_numbers
from raddiag_hf.metrics.predictions import check_predictions

TOP_K = (1, 5, 10, 20)
"""Lengths of the list."""


@dataclass(frozen=True)
class TopKRecall:
    """Mean over cases of the share of their labels among the most probable ones.

    Attributes:
        num_cases: Cases with a label; the others have nothing to find.
        sizes: Lengths of the list, all below the number of labels.
        recalls: Of each length.
        lows, highs: Ends of the intervals, None where there is none; None without a bootstrap.
    """

    num_cases: int
    sizes: tuple[int, ...]
    recalls: tuple[float, ...]
    lows: tuple[float | None, ...] | None = None
    highs: tuple[float | None, ...] | None = None

    def describe(self) -> str:
        """Say it in a sentence."""
        found = ", ".join(
            f"{100 * recall:.1f} % among {size}"
            for size, recall in zip(self.sizes, self.recalls, strict=True)
        )
        return f"Of a case's labels, {found} of its most probable ones (mean over cases)."


def top_k_recall(
    labels: ArrayLike,
    logits: ArrayLike,
    sizes: tuple[int, ...] = TOP_K,
    bootstrap: BootstrapSettings | None = None,
) -> TopKRecall | None:
    """Find which share of each case's labels is among its most probable ones.

    Labels that are unknown of a case are not in its list. Of equally probable labels the first
    column comes first.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``.
        logits: Shape ``(cases, classes)``.
        sizes: Lengths of the list; those that are not below the number of classes are left out.
        bootstrap: How to find intervals; None for none.

    Returns:
        The recalls; None where no case has a label, or no list is shorter than all labels.
    """
    present, scores = check_predictions(labels, logits)
    kept = tuple(size for size in sizes if size < present.shape[1])
    positives = np.count_nonzero(present, axis=1)
    has_any = positives > 0
    if not kept or not has_any.any():
        return None
    ranked = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1, kind="stable")[:, : kept[-1]]
    hits = np.take_along_axis(present, ranked, axis=1).cumsum(axis=1)
    shares = hits[:, [size - 1 for size in kept]] / np.maximum(positives, 1)[:, None]
    recalls = shares[has_any].mean(axis=0)
    lows = highs = None
    if bootstrap is not None:
        ends = interval(
            _resampled(shares, has_any, bootstrap),
            recalls,
            confidence=bootstrap.confidence,
            method=bootstrap.method,
        )
        lows, highs = tuple(json_numbers(ends.low)), tuple(json_numbers(ends.high))
    return TopKRecall(int(has_any.sum()), kept, tuple(recalls.tolist()), lows, highs)


def _resampled(
    shares: NDArray[np.float64], has_any: NDArray[np.bool_], bootstrap: BootstrapSettings
) -> NDArray[np.float64]:
    """Return the mean of each resample, shape ``(sizes, samples)``; NaN where it has no case."""
    means = []
    for weights in bootstrap.weights(len(shares)):
        drawn = weights * has_any[:, None]
        total = drawn.sum(axis=0)
        means.append(np.where(total > 0, shares.T @ drawn / np.maximum(total, 1), np.nan))
    return np.concatenate(means, axis=1)
