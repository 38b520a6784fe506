"""Which exclusive label was told for which: confusion, and accuracy over cases."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from raddiag_hf.metrics.bootstrap import Interval, interval
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.predictions import BoolArray

MOST_LABELS = 100
"""Labels up to which JSON has every count."""


@dataclass(frozen=True)
class Confusion:
    """The most probable label of each case against the one that it has.

    Attributes:
        counts: Cases by label (row) and predicted label (column), shape ``(labels, labels)``; cases
            with no label or several are left out.
        accuracy: Share of the cases whose most probable label is theirs; NaN without a case.
        balanced_accuracy: The mean of that share over the labels that cases have.
        intervals: Of both; None where there was no bootstrap.
    """

    counts: NDArray[np.intp]
    accuracy: float
    balanced_accuracy: float
    intervals: tuple[Interval, Interval] | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values; ``counts`` is None of more than 100 labels."""
        content: dict[str, Any] = {"cases": int(self.counts.sum())}
        values = {"accuracy": self.accuracy, "balanced_accuracy": self.balanced_accuracy}
        for place, (name, value) in enumerate(values.items()):
            found = None if self.intervals is None else self.intervals[place]
            ends = (np.nan, np.nan) if found is None else (float(found.low), float(found.high))
            numbers = [None if np.isnan(one) else one for one in (value, *ends)]
            content |= zip((name, f"{name}_low", f"{name}_high"), numbers, strict=True)
        is_small = len(self.counts) <= MOST_LABELS
        return content | {"counts": self.counts.tolist() if is_small else None}


def describe_accuracy(found: Mapping[str, Any]) -> str:
    """Return the accuracies of `Confusion.to_dict`, in percent, in one sentence."""
    if found["accuracy"] is None:
        return "No case has exactly one label, so there is no accuracy"
    told = []
    for name in ("accuracy", "balanced_accuracy"):
        text = f"{100 * found[name]:.1f}"
        if found[f"{name}_low"] is not None:
            text += f" ({100 * found[f'{name}_low']:.1f}, {100 * found[f'{name}_high']:.1f})"
        told.append(text)
    return (
        f"The most probable label is right in {told[0]} percent of {found['cases']} cases; "
        f"balanced accuracy, the mean over labels, is {told[1]}"
    )


def count_confusion(
    labels: BoolArray, decisions: BoolArray, bootstrap: BootstrapSettings | None = None
) -> Confusion:
    """Count which label was predicted for which.

    Args:
        labels: Which case has which label, shape ``(cases, labels)``.
        decisions: Which one is predicted for each case, same shape.
        bootstrap: How to find the intervals; None for none.
    """
    num_cases, num_labels = labels.shape
    cases = np.flatnonzero(labels.sum(1) == 1)
    true, told = labels[cases].argmax(1), decisions[cases].argmax(1)
    pairs = np.bincount(true * num_labels + told, minlength=num_labels**2)
    shape = (num_labels, num_cases)
    ones = np.ones(len(cases), np.float32)
    members = scipy.sparse.csr_array((ones, (true, cases)), shape=shape)
    hits = scipy.sparse.csr_array(((true == told).astype(np.float32), (true, cases)), shape=shape)
    ((accuracy,), (balanced,)) = _accuracies(members, hits, [np.ones((num_cases, 1), np.float32)])
    intervals = None
    if bootstrap is not None:
        drawn = _accuracies(members, hits, bootstrap.weights(num_cases))
        first, second = (
            interval(
                samples,
                np.asarray(value),
                confidence=bootstrap.confidence,
                method=bootstrap.method,
            )
            for samples, value in zip(drawn, (accuracy, balanced), strict=True)
        )
        intervals = first, second
    counts = pairs.reshape(num_labels, num_labels)
    return Confusion(counts, float(accuracy), float(balanced), intervals)


def _accuracies(
    members: scipy.sparse.csr_array,
    hits: scipy.sparse.csr_array,
    weights: Iterable[NDArray[np.float32]],
) -> NDArray[np.float64]:
    """Return accuracy and balanced accuracy in every sample, shape ``(2, samples)``."""
    found = []
    for chunk in weights:
        total, right = members @ chunk, hits @ chunk
        recalls = np.divide(right, total, out=np.zeros_like(total), where=total > 0)
        number, sum_ = (total > 0).sum(0), total.sum(0)
        means = np.stack([right.sum(0), recalls.sum(0)]).astype(np.float64)
        sizes = np.stack([sum_, number]).astype(np.float64)
        nothing = np.full_like(means, np.nan)
        found.append(np.divide(means, sizes, out=nothing, where=sizes > 0))
    return np.concatenate(found, axis=1)
