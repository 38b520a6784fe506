"""Who outranks whom: the cases of every class, sorted into the levels set by its positives.

A ranking metric changes only where a positive is passed, so a class with three positives has three
levels however many cases there are. Each negative is filed once, under the lowest level at which it
counts as a false positive; negatives below every positive are in nobody's way and are left out, as
are cases without a score, whose label is unknown.
Counting cases, with any weights, is then one sparse product: the numbers themselves (all weights 1)
and a thousand bootstrap resamples take the same path.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from raddiag_hf.metrics.curves import ConfusionCounts, CurveCounts
from raddiag_hf.metrics.predictions import BoolArray, FloatArray, known_counts

Value = TypeVar("Value", bound=np.generic)

_MAX_BLOCK_CELLS = 2**22
_MAX_BLOCK_LEVELS = 2048
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class RankedBlock:
    """Some classes with their levels: the distinct scores of their positives, highest first.

    Attributes:
        classes: Column of each class, shape ``(classes,)``.
        starts: First level of each class, shape ``(classes,)``.
        level_scores: Score of each level, shape ``(levels,)``.
        memberships: Sparse 0/1 matrix of shape ``(3 * levels, cases)``: first which negatives lie
            below the level before and above this one, then which negatives tie with this one, then
            its positives.
        hits: Sparse 0/1 matrix of shape ``(classes, cases)``, the positives that are
            predicted; None where nobody decided.
        false_alarms: The same of the known negatives that are predicted.
        unknown: Sparse 0/1 matrix of shape ``(classes, cases)``, the cases whose label is unknown;
            None where all are known.
    """

    classes: NDArray[np.intp]
    starts: NDArray[np.intp]
    level_scores: FloatArray
    memberships: scipy.sparse.csr_array
    hits: scipy.sparse.csr_array | None
    false_alarms: scipy.sparse.csr_array | None
    unknown: scipy.sparse.csr_array | None = None

    def count(self, weights: NDArray[np.float32]) -> CurveCounts:
        """Count the cases at each level.

        Args:
            weights: How often each case is there, shape ``(cases, samples)``, whole numbers.
        """
        between, tied, positives_at = (
            (self.memberships @ weights).astype(np.float64).reshape(3, -1, weights.shape[1])
        )
        total = weights.sum(axis=0, dtype=np.float64)
        if self.unknown is not None:
            total = total - (self.unknown @ weights).astype(np.float64)
        return CurveCounts.from_levels(
            starts=self.starts,
            positives_at=positives_at,
            negatives_between=between,
            negatives_tied=tied,
            total=total,
        )

    def count_decisions(
        self, counts: CurveCounts, weights: NDArray[np.float32]
    ) -> ConfusionCounts | None:
        """Count what is predicted, rightly and wrongly; None where nobody decided.

        Args:
            counts: What `count` returned for these weights.
            weights: How often each case is there, shape ``(cases, samples)``, whole numbers.
        """
        if self.hits is None or self.false_alarms is None:
            return None
        return ConfusionCounts(
            true_positives=(self.hits @ weights).astype(np.float64),
            false_positives=(self.false_alarms @ weights).astype(np.float64),
            positives=counts.positives,
            negatives=counts.negatives,
        )


def evaluable_classes(labels: BoolArray, scores: FloatArray) -> NDArray[np.intp]:
    """Return the columns that hold positives and negatives; nothing can be ranked in the others.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``, NaN where the label is unknown.
    """
    positives = np.count_nonzero(labels, axis=0)
    return np.flatnonzero((positives > 0) & (positives < known_counts(scores)))


def gather_columns(table: NDArray[Value], classes: NDArray[np.intp]) -> NDArray[Value]:
    """Return some columns as contiguous rows, shape ``(len(classes), cases)``."""
    gathered = np.empty((len(classes), len(table)), dtype=table.dtype)
    # A few rows at a time stay in the cache while they are transposed.
    for first in range(0, len(table), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        gathered[:, rows] = table[rows].take(classes, axis=1).T
    return gathered


def ranked_blocks(
    labels: BoolArray, scores: FloatArray, decisions: BoolArray | None = None
) -> Iterator[RankedBlock]:
    """Rank the evaluable classes, a bounded number of them at a time.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``, finite; NaN where the label is unknown.
        decisions: Which case is predicted to have which class, shape ``(cases, classes)``.
    """
    case, column = np.divmod(np.flatnonzero(labels), labels.shape[1])
    case = case[np.argsort(column, kind="stable")]
    ends = np.cumsum(np.bincount(column, minlength=labels.shape[1]))
    classes = evaluable_classes(labels, scores)
    levels_up_to = ends[classes]
    classes_at_once = max(1, _MAX_BLOCK_CELLS // len(labels))
    first = 0
    while first < len(classes):
        room = (levels_up_to[first - 1] if first else 0) + _MAX_BLOCK_LEVELS
        last = int(np.searchsorted(levels_up_to, room, side="right"))
        last = min(max(last, first + 1), first + classes_at_once)
        block = classes[first:last]
        starts = np.where(block > 0, ends[block - 1], 0)
        positives = [case[start:end] for start, end in zip(starts, ends[block], strict=True)]
        decided = None if decisions is None else gather_columns(decisions, block)
        yield _rank(block, gather_columns(scores, block), positives, decided)
        first = last


def _rank(
    classes: NDArray[np.intp],
    columns: FloatArray,
    positives: Sequence[NDArray[np.intp]],
    decided: BoolArray | None,
) -> RankedBlock:
    """Rank some classes, given scores and decisions of all cases and which are positive."""
    all_levels, ranks, cases, kinds = [], [], [], []
    starts = np.zeros(len(classes), dtype=np.intp)
    next_start = 0
    for index, (column, positive) in enumerate(zip(columns, positives, strict=True)):
        levels = np.unique(column[positive])
        outranking = np.flatnonzero(column >= levels[0])
        outranking_scores = column[outranking]
        passed = np.searchsorted(levels, outranking_scores, side="right") - 1
        kind = (levels[passed] == outranking_scores).astype(np.intp)
        kind[np.searchsorted(outranking, positive)] = 2
        starts[index] = next_start
        next_start += len(levels)
        all_levels.append(levels[::-1])
        ranks.append(next_start - 1 - passed)
        cases.append(outranking)
        kinds.append(kind)
    level_scores, kind = np.concatenate(all_levels), np.concatenate(kinds)
    rows = kind * len(level_scores) + np.concatenate(ranks)
    is_unknown = np.isnan(columns)
    hits = false_alarms = None
    if decided is not None:
        is_hit = np.zeros_like(decided)
        for index, positive in enumerate(positives):
            is_hit[index, positive] = decided[index, positive]
        hits = scipy.sparse.csr_array(is_hit.astype(np.float32))
        is_false = decided & ~is_hit & ~is_unknown
        false_alarms = scipy.sparse.csr_array(is_false.astype(np.float32))
    return RankedBlock(
        classes=classes,
        starts=starts,
        level_scores=level_scores,
        memberships=scipy.sparse.csr_array(
            (np.ones(len(rows), np.float32), (rows, np.concatenate(cases))),
            shape=(3 * len(level_scores), columns.shape[1]),
        ),
        hits=hits,
        false_alarms=false_alarms,
        unknown=scipy.sparse.csr_array(is_unknown.astype(np.float32)) if is_unknown.any() else None,
    )
