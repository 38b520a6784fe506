"""What an evaluation found, as tables and as JSON."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.metrics.bootstrap import Interval
from raddiag_hf.metrics.confusion import Confusion
from raddiag_hf.metrics.mean_curves import RocCurve
from raddiag_hf.metrics.sampled_metrics import BootstrapIntervals

Mode = Literal["standard", "official"]
ThresholdSource = Literal["given", "oracle"]

Table = dict[str, list[Any]]
"""Columns of equal length by name, as pandas, pyarrow and datasets take them; None is undefined."""


@dataclass(frozen=True)
class GroupMetrics:
    """The mean over a group's classes, and how many of them it is taken over.

    Attributes:
        classes: Columns of the group.
        evaluated: Number of classes in the mean.
        without_positives: Number of classes left out because no case is positive.
        without_negatives: Number of classes left out because every known case is positive.
        values: Mean by metric; NaN where no class is evaluated.
    """

    classes: NDArray[np.intp]
    evaluated: int
    without_positives: int
    without_negatives: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class EvaluationResult:
    """Every metric of every class and group, with what is needed to read it rightly.

    Attributes:
        mode: ``"standard"``, or ``"official"`` for the reference implementation's numbers.
        num_cases: Number of cases.
        class_names: Name of each column.
        positives: Positive cases of each class, shape ``(classes,)``.
        known_cases: Cases whose label is known, and which the class is evaluated on, shape
            ``(classes,)``.
        per_class: By metric, shape ``(classes,)``; NaN for classes that cannot be evaluated.
        groups: Means by group; the last group is ``"all"``.
        roc: Mean ROC curve of each group, with its band where there is a bootstrap.
        thresholds: Probability from which each class counts as predicted, shape ``(classes,)``.
            None where no threshold was given.
        threshold_source: ``"given"``, or ``"oracle"`` where the thresholds were chosen on the
            evaluated cases themselves. None where no threshold was given.
        intervals: Intervals of every metric; None where there was no bootstrap.
        confusion: Which label was told for which, of exclusive labels; else None.
    """

    mode: Mode
    num_cases: int
    class_names: tuple[str, ...]
    positives: NDArray[np.intp]
    known_cases: NDArray[np.intp]
    per_class: Mapping[str, NDArray[np.float64]]
    groups: Mapping[str, GroupMetrics]
    roc: Mapping[str, RocCurve]
    thresholds: NDArray[np.float64] | None = None
    threshold_source: ThresholdSource | None = None
    intervals: BootstrapIntervals | None = None
    confusion: Confusion | None = None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics, in the order of the paper's tables."""
        return tuple(self.per_class)

    @property
    def classes_without_positives(self) -> tuple[str, ...]:
        """Names of the classes that no case has."""
        return tuple(self.class_names[index] for index in np.flatnonzero(self.positives == 0))

    @property
    def classes_without_negatives(self) -> tuple[str, ...]:
        """Names of the classes that every known case has."""
        every = np.flatnonzero((self.positives > 0) & (self.positives == self.known_cases))
        return tuple(self.class_names[index] for index in every)

    def of_groups(self, names: Collection[str]) -> "EvaluationResult":
        """Return the result with some of its groups alone, in their order."""

        def kept(values: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in values.items() if name in names}

        intervals = self.intervals
        if intervals is not None:
            intervals = replace(
                intervals,
                macro=kept(intervals.macro),
                fewest_classes=kept(intervals.fewest_classes),
                roc=kept(intervals.roc),
            )
        return replace(self, groups=kept(self.groups), roc=kept(self.roc), intervals=intervals)

    def group_table(self) -> Table:
        """Return one row per group: its classes, its means and their intervals.

        Columns are ``group, classes, evaluated, without_positives, without_negatives`` and each
        metric, followed by ``<metric>_low`` and ``<metric>_high`` where there are intervals.
        """
        groups = self.groups.values()
        table: Table = {
            "group": list(self.groups),
            "classes": [len(group.classes) for group in groups],
            "evaluated": [group.evaluated for group in groups],
            "without_positives": [group.without_positives for group in groups],
            "without_negatives": [group.without_negatives for group in groups],
        }
        for name in self.metric_names:
            table[name] = json_numbers([group.values[name] for group in groups])
            if self.intervals is not None:
                found = [self.intervals.macro[group][name] for group in self.groups]
                table[f"{name}_low"] = json_numbers([each.low for each in found])
                table[f"{name}_high"] = json_numbers([each.high for each in found])
        return table

    def class_table(self) -> Table:
        """Return one row per class: its support, threshold, metrics and their intervals.

        Columns are ``class, positives, known_cases``, ``threshold`` where there are thresholds,
        each metric, ``<metric>_low`` and ``<metric>_high`` where there are intervals, and
        ``undefined_resamples``.
        """
        table: Table = {
            "class": list(self.class_names),
            "positives": self.positives.tolist(),
            "known_cases": self.known_cases.tolist(),
        }
        if self.thresholds is not None:
            table["threshold"] = json_numbers(self.thresholds)
        for name, values in self.per_class.items():
            table[name] = json_numbers(values)
            if self.intervals is not None:
                found = self.intervals.per_class[name]
                table[f"{name}_low"] = json_numbers(found.low)
                table[f"{name}_high"] = json_numbers(found.high)
        if self.intervals is not None:
            table["undefined_resamples"] = self.intervals.undefined_resamples.tolist()
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values; a value that is undefined is None."""
        return {
            "mode": self.mode,
            "num_cases": self.num_cases,
            "num_classes": len(self.class_names),
            "threshold_source": self.threshold_source,
            "classes_without_positives": list(self.classes_without_positives),
            "classes_without_negatives": list(self.classes_without_negatives),
            "bootstrap": _describe_bootstrap(self.intervals),
            "confusion": None if self.confusion is None else self.confusion.to_dict(),
            "groups": self.group_table(),
            "classes": self.class_table(),
            "roc": {group: _describe_curve(curve) for group, curve in self.roc.items()},
        }


def banded_curve(
    grid: NDArray[np.float64], recalls: NDArray[np.float64], band: Interval | None
) -> RocCurve:
    """Join a mean ROC curve with its band."""
    if band is None:
        return RocCurve(grid, recalls)
    return RocCurve(grid, recalls, band.low, band.high)


def _describe_bootstrap(intervals: BootstrapIntervals | None) -> dict[str, Any] | None:
    if intervals is None:
        return None
    return {
        "resamples": intervals.resamples,
        "resampled_unit": intervals.resampled_unit,
        "seed": intervals.seed,
        "confidence": intervals.confidence,
        "method": intervals.method,
        "fewest_classes": dict(intervals.fewest_classes),
        "bias": {
            group: dict(zip(metrics, json_numbers([m.bias for m in metrics.values()]), strict=True))
            for group, metrics in intervals.macro.items()
        },
    }


def _describe_curve(curve: RocCurve) -> dict[str, Any]:
    return {
        "false_positive_rates": json_numbers(curve.false_positive_rates),
        "recalls": json_numbers(curve.recalls),
        "low": None if curve.low is None else json_numbers(curve.low),
        "high": None if curve.high is None else json_numbers(curve.high),
    }


def json_numbers(values: NDArray[np.float64] | Sequence[Any]) -> list[float | None]:
    """Return Python floats, None for NaN."""
    return [None if np.isnan(value) else float(value) for value in values]
