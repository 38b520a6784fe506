"""Is one model better than another? Both are evaluated on the same resamples of the same cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.metrics.bootstrap import interval
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.class_metrics import RECALL_AT, metric_settings
from raddiag_hf.metrics.evaluation_result import Table
from raddiag_hf.metrics.predictions import BoolArray, check_predictions, resolve_groups
from raddiag_hf.metrics.sampled_metrics import (
    bootstrap_metrics,
    metric_range,
    sample_once,
    to_columns,
)

Thresholds = ArrayLike | Literal["oracle"] | None


@dataclass(frozen=True)
class PairedDifference:
    """One metric of two models; arrays of one shape, NaN where it is undefined.

    Attributes:
        a: Value of the first model.
        b: Value of the second model.
        low: Lower end of the interval of ``a - b``.
        high: Upper end.
        p_value: Two-sided, of no difference; not smaller than 2 / (resamples + 1).
    """

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]

    @property
    def difference(self) -> NDArray[np.float64]:
        """First minus second; positive where the first model is better."""
        return self.a - self.b


@dataclass(frozen=True)
class PairedComparison:
    """Every metric of two models, with intervals of the differences.

    Attributes:
        per_class: By metric, shape ``(classes,)``.
        groups: By group and metric, shape ``()``.
        bootstrap: How the cases were resampled.
    """

    per_class: Mapping[str, PairedDifference]
    groups: Mapping[str, Mapping[str, PairedDifference]]
    bootstrap: BootstrapSettings

    def group_table(self) -> Table:
        """Return one row per group and metric: ``a, b, difference, low, high, p_value``."""
        rows = [
            (group, metric, found)
            for group, metrics in self.groups.items()
            for metric, found in metrics.items()
        ]
        table: Table = {
            "group": [group for group, _, _ in rows],
            "metric": [metric for _, metric, _ in rows],
        }
        for column in ("a", "b", "difference", "low", "high", "p_value"):
            values = [float(getattr(found, column)) for _, _, found in rows]
            table[column] = [None if np.isnan(value) else value for value in values]
        return table


def compare_predictions(
    labels: ArrayLike,
    logits_a: ArrayLike,
    logits_b: ArrayLike,
    *,
    thresholds_a: Thresholds = None,
    thresholds_b: Thresholds = None,
    decisions_a: BoolArray | None = None,
    decisions_b: BoolArray | None = None,
    groups: Mapping[str, ArrayLike] | None = None,
    recall_at: Sequence[float] = RECALL_AT,
    bootstrap: BootstrapSettings | None = None,
) -> PairedComparison:
    """Compare two models on the same cases, by a paired bootstrap.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``.
        logits_a: Logits of the first model, shape ``(cases, classes)``.
        logits_b: Logits of the second model, shape ``(cases, classes)``.
        thresholds_a: As in `evaluate_predictions`, for the first model.
        thresholds_b: For the second model; both models need thresholds or decisions, or neither.
        decisions_a: As in `evaluate_predictions`, in place of thresholds, for the first model.
        decisions_b: For the second model.
        groups: Columns of each group; ``"all"`` is always added.
        recall_at: False-positive rates at which recall is read.
        bootstrap: How to resample; 1,000 resamples of the cases where absent.

    Raises:
        ValueError: If an argument has a wrong shape or value, or only one model has thresholds
            or decisions.
    """
    has_a = thresholds_a is not None or decisions_a is not None
    has_b = thresholds_b is not None or decisions_b is not None
    if has_a != has_b:
        raise ValueError("thresholds or decisions must be given for both models or for neither")
    settings = bootstrap or BootstrapSettings()
    points, samples = [], []
    for logits, thresholds, decisions in (
        (logits_a, thresholds_a, decisions_a),
        (logits_b, thresholds_b, decisions_b),
    ):
        present, scores = check_predictions(labels, logits)
        columns = resolve_groups(groups, present.shape[1])
        metrics = metric_settings(columns, scores, recall_at, thresholds, decisions)
        points.append(sample_once(present, scores, metrics))
        samples.append(bootstrap_metrics(present, scores, metrics, settings))
    point_a, point_b = points
    samples_a, samples_b = samples

    def spread(found: PairedDifference) -> PairedDifference:
        values = (found.a, found.b, found.low, found.high, found.p_value)
        classes, number = point_a.classes, present.shape[1]
        return PairedDifference(*(to_columns(value, classes, number) for value in values))

    return PairedComparison(
        per_class={
            name: spread(
                _difference(
                    name,
                    (point_a.per_class[name][:, 0], point_b.per_class[name][:, 0]),
                    samples_a.per_class[name] - samples_b.per_class[name],
                    settings,
                )
            )
            for name in point_a.per_class
        },
        groups={
            group: {
                name: _difference(
                    name,
                    (point_a.macro[group][name][0], point_b.macro[group][name][0]),
                    samples_a.macro[group][name] - samples_b.macro[group][name],
                    settings,
                )
                for name in point_a.macro[group]
            }
            for group in columns
        },
        bootstrap=settings,
    )


def _difference(
    name: str,
    values: tuple[NDArray[np.float64], NDArray[np.float64]],
    resampled: NDArray[np.float64],
    settings: BootstrapSettings,
) -> PairedDifference:
    a, b = np.asarray(values[0]), np.asarray(values[1])
    lowest, highest = metric_range(name)
    found = interval(
        resampled,
        a - b,
        confidence=settings.confidence,
        method=settings.method,
        value_range=(lowest - highest, highest - lowest),
    )
    shift = found.bias[..., None] if settings.method == "centred" else 0.0
    defined = np.count_nonzero(~np.isnan(resampled), axis=-1)
    not_better = np.count_nonzero(resampled - shift <= 0.0, axis=-1)
    not_worse = np.count_nonzero(resampled - shift >= 0.0, axis=-1)
    p_value = 2.0 * (np.minimum(not_better, not_worse) + 1.0) / (defined + 1.0)
    p_value = np.where(defined > 0, np.minimum(p_value, 1.0), np.nan)
    return PairedDifference(a=a, b=b, low=found.low, high=found.high, p_value=p_value)
