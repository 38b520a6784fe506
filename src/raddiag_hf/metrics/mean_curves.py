"""Mean ROC and precision-recall curves of groups of classes, with bands over resamples."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.metrics.bootstrap import interval
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.curves import Counts, CurveCounts
from raddiag_hf.metrics.predictions import (
    BoolArray,
    FloatArray,
    check_predictions,
    resolve_groups,
)
from raddiag_hf.metrics.ranking import ranked_blocks

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


RECALL_POINTS = 200
"""Recalls at which the curve is read, evenly from 1 / 200 to 1."""


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """A group's mean precision-recall curve: at each recall, the mean precision of its classes.

    The precision of a class is that at its highest threshold whose recall is at least the grid's,
    so that the area under its curve is its average precision, up to the width of the grid. All
    arrays have shape ``(grid,)``.

    Attributes:
        recalls: The grid.
        precisions: The point estimate; NaN where no class can be evaluated.
        low: Lower edge of the pointwise band; None where nothing was resampled.
        high: Upper edge of the band.
    """

    recalls: NDArray[np.float64]
    precisions: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


def mean_precision_recall(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    groups: Mapping[str, ArrayLike] | None = None,
    bootstrap: BootstrapSettings | None = None,
) -> dict[str, PrecisionRecallCurve]:
    """Return the mean precision-recall curve of each group of classes, and of ``"all"``.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``.
        logits: Shape ``(cases, classes)``.
        groups: As in `evaluate_predictions`.
        bootstrap: How to find the bands; None for none.

    Raises:
        ValueError: If an argument has a wrong shape or value.
    """
    present, scores = check_predictions(labels, logits)
    columns = resolve_groups(groups, present.shape[1])
    members = np.zeros((len(columns), present.shape[1]), dtype=np.bool_)
    for group, chosen in enumerate(columns.values()):
        members[group, chosen] = True
    recalls = np.arange(1, RECALL_POINTS + 1) / RECALL_POINTS
    point = _mean_precisions(present, scores, members, [np.ones((len(present), 1), np.float32)])
    if bootstrap is None:
        return {
            name: PrecisionRecallCurve(recalls, curves[0])
            for name, curves in zip(columns, point, strict=True)
        }
    samples = _mean_precisions(present, scores, members, bootstrap.weights(len(present)))
    found = {}
    for name, curves, resampled in zip(columns, point, samples, strict=True):
        band = interval(
            resampled.T, curves[0], confidence=bootstrap.confidence, method=bootstrap.method
        ).closed_at(curves[0])
        found[name] = PrecisionRecallCurve(recalls, curves[0], band.low, band.high)
    return found


def _mean_precisions(
    labels: BoolArray,
    scores: FloatArray,
    members: NDArray[np.bool_],
    weights: Iterable[NDArray[np.float32]],
) -> NDArray[np.float64]:
    """Return the mean curve of each group in each sample, shape ``(groups, samples, grid)``.

    Args:
        labels: Shape ``(cases, classes)``.
        scores: Shape ``(cases, classes)``; NaN where the label is unknown.
        members: Which classes each group averages over, shape ``(groups, classes)``.
        weights: Chunks of samples: how often each case is in each, shape ``(cases, samples)``.
    """
    chunks = []
    for chunk in weights:
        steps = np.zeros((len(members), chunk.shape[1], RECALL_POINTS + 1))
        classes = np.zeros((len(members), chunk.shape[1], 1))
        for block in ranked_blocks(labels, scores):
            counts = block.count(chunk)
            defined = (counts.positives > 0) & (counts.negatives > 0)
            for group, chosen in enumerate(members[:, block.classes]):
                if chosen.any():
                    steps[group] += _summed_steps(counts, defined & chosen[:, None])
                    classes[group, :, 0] += defined[chosen].sum(axis=0)
        summed = np.cumsum(steps[..., :RECALL_POINTS], axis=-1)
        chunks.append(
            np.divide(summed, classes, out=np.full_like(summed, np.nan), where=classes > 0)
        )
    return np.clip(np.concatenate(chunks, axis=1), 0.0, 1.0)


def _summed_steps(counts: CurveCounts, counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return where the sum of the classes' curves rises and falls, shape ``(samples, grid + 1)``.

    Args:
        counts: A block of classes.
        counted: Which classes are summed in which sample, shape ``(classes, samples)``.
    """
    predicted = counts.true_positives + counts.false_positives
    precision = np.divide(
        counts.true_positives, predicted, out=np.zeros_like(predicted), where=predicted > 0
    )
    precision *= counts.to_levels(counted.astype(np.float64))
    positives = counts.to_levels(counts.positives)
    # Whole numbers, so that a recall of 3 / 5 reaches the grid's 0.6 exactly.
    reached = np.floor_divide(
        RECALL_POINTS * counts.true_positives,
        positives,
        out=np.zeros_like(positives),
        where=positives > 0,
    ).astype(np.intp)
    begins = np.roll(reached, 1, axis=0)
    begins[counts.starts] = 0
    samples = predicted.shape[1]
    place = np.arange(samples) * (RECALL_POINTS + 1)
    size = samples * (RECALL_POINTS + 1)
    steps = np.bincount((begins + place).ravel(), precision.ravel(), minlength=size)
    steps -= np.bincount((reached + place).ravel(), precision.ravel(), minlength=size)
    return np.asarray(steps.reshape(samples, -1))
