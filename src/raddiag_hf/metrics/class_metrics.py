"""Evaluating predictions: every metric per class and per group of classes, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.evaluation_result import (
    EvaluationResult,
    GroupMetrics,
    Mode,
    ThresholdSource,
    banded_curve,
)
from raddiag_hf.metrics.mean_curves import DEFAULT_FPR_GRID
from raddiag_hf.metrics.predictions import (
    BoolArray,
    FloatArray,
    check_predictions,
    known_counts,
    resolve_groups,
)
from raddiag_hf.metrics.reference_metrics import official_decisions, official_scores
from raddiag_hf.metrics.sampled_metrics import (
    BootstrapIntervals,
    MetricSettings,
    SampledMetrics,
    bootstrap_metrics,
    sample_once,
    summarise_bootstrap,
    to_columns,
)
from raddiag_hf.metrics.thresholds import logit_cutoffs

RECALL_AT = (0.01, 0.05, 0.1)
"""False-positive rates at which the paper reports recall."""


def evaluate_predictions(
    labels: ArrayLike,
    logits: ArrayLike,
    *,
    thresholds: ArrayLike | Literal["oracle"] | None = None,
    decisions: BoolArray | None = None,
    mode: Mode = "standard",
    groups: Mapping[str, ArrayLike] | None = None,
    class_names: Sequence[str] | None = None,
    recall_at: Sequence[float] = RECALL_AT,
    bootstrap: BootstrapSettings | None = None,
) -> EvaluationResult:
    """Evaluate a model's logits, per class and as the mean over groups of classes.

    Classes without positives or without negatives cannot be evaluated: they have NaN in every
    metric, count in no mean, and are counted in the result. A case counts for a class only where
    its label is known.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, classes)``.
        logits: Shape ``(cases, classes)``, before the sigmoid.
        thresholds: Probability from which each class counts as predicted, shape ``(classes,)``,
            chosen on validation data. ``"oracle"`` takes, for each class, the threshold with the
            highest F1 on these very cases, which no user of the model could know. Without them and
            without ``decisions`` F1, MCC and accuracy are left out.
        decisions: Which case is predicted to have which class, shape ``(cases, classes)``, where
            that does not follow from a threshold of each class; see `DecisionRule.decide`.
        mode: ``"standard"``, or ``"official"`` for the numbers that the reference implementation
            prints, for comparison with the paper's tables: its own oracle thresholds, no intervals.
        groups: Columns of each group, such as `labels.bands.band_columns` returns. The group
            ``"all"`` is always added.
        class_names: Name of each column; its number where absent.
        recall_at: False-positive rates at which recall is read.
        bootstrap: How to find intervals; None for none.

    Raises:
        ValueError: If an argument has a wrong shape or value, thresholds and decisions are given,
            or ``mode="official"`` is joined with either or a bootstrap.

    Example:
        >>> labels = [[1, 0], [1, 0], [0, 0], [0, 1]]
        >>> logits = [[2.0, -1.0], [0.5, -2.0], [-1.0, -3.0], [1.0, -1.5]]
        >>> result = evaluate_predictions(labels, logits, thresholds=[0.5, 0.2])
        >>> round(result.groups["all"].values["auc"], 4)
        0.7083
    """
    label_array, logit_array = check_predictions(labels, logits)
    num_classes = label_array.shape[1]
    names = tuple(map(str, range(num_classes) if class_names is None else class_names))
    if len(names) != num_classes:
        raise ValueError(f"{len(names)} class_names were given for {num_classes} classes")
    columns = resolve_groups(groups, num_classes)
    if mode == "official":
        if thresholds is not None or decisions is not None or bootstrap is not None:
            raise ValueError("mode 'official' takes no thresholds, decisions or bootstrap")
        found = _official_findings(label_array, logit_array, columns, recall_at)
    elif mode == "standard":
        settings = metric_settings(columns, logit_array, recall_at, thresholds, decisions)
        found = _findings(label_array, logit_array, settings, thresholds, bootstrap)
    else:
        raise ValueError(f"mode must be 'standard' or 'official', got {mode!r}")
    positives, known = np.count_nonzero(label_array, axis=0), known_counts(logit_array)
    bands = {} if found.intervals is None else found.intervals.roc
    return EvaluationResult(
        mode=mode,
        num_cases=len(label_array),
        class_names=names,
        positives=positives,
        known_cases=known,
        per_class=found.per_class,
        groups={
            name: _group_metrics(positives, known, found.per_class, group)
            for name, group in columns.items()
        },
        roc={
            name: banded_curve(DEFAULT_FPR_GRID, recalls[0], bands.get(name))
            for name, recalls in found.mean_recalls.items()
        },
        thresholds=found.thresholds,
        threshold_source=found.threshold_source,
        intervals=found.intervals,
    )


def metric_settings(
    groups: Mapping[str, NDArray[np.intp]],
    logits: FloatArray,
    recall_at: Sequence[float],
    thresholds: ArrayLike | Literal["oracle"] | None,
    decisions: BoolArray | None = None,
) -> MetricSettings:
    """Return what to compute from logits.

    Args:
        groups: Columns of each group.
        logits: Shape ``(cases, classes)``.
        recall_at: False-positive rates at which recall is read.
        thresholds: As in `evaluate_predictions`.
        decisions: The same.

    Raises:
        ValueError: If ``thresholds`` is neither ``"oracle"`` nor one number per class, decisions
            have another shape than the logits, or both are given.
    """
    rates = tuple(float(rate) for rate in recall_at)
    if decisions is not None:
        if thresholds is not None:
            raise ValueError("decisions and thresholds were given: expected one of them")
        if decisions.shape != logits.shape or decisions.dtype != np.bool_:
            raise ValueError(
                f"decisions are {decisions.dtype} of shape {decisions.shape}, expected bool of "
                f"shape {logits.shape}"
            )
    if thresholds is None:
        return MetricSettings(groups, decisions=decisions, recall_at=rates)
    if isinstance(thresholds, str):
        if thresholds != "oracle":
            raise ValueError(f"thresholds must be 'oracle' or numbers, got {thresholds!r}")
        return MetricSettings(groups, oracle=True, recall_at=rates)
    probabilities, num_classes = np.asarray(thresholds, dtype=np.float64), logits.shape[1]
    if probabilities.shape != (num_classes,) or np.isnan(probabilities).any():
        raise ValueError(
            f"thresholds must be {num_classes} numbers, one per class, got shape "
            f"{probabilities.shape} with {np.isnan(probabilities).sum()} NaN"
        )
    reached = logits >= logit_cutoffs(probabilities)
    return MetricSettings(groups, decisions=reached, recall_at=rates)


@dataclass(frozen=True)
class _Findings:
    """What the two modes find each in its own way."""

    per_class: dict[str, NDArray[np.float64]]
    mean_recalls: Mapping[str, NDArray[np.float64]]
    thresholds: NDArray[np.float64] | None
    threshold_source: ThresholdSource | None
    intervals: BootstrapIntervals | None


def _findings(
    labels: BoolArray,
    logits: FloatArray,
    settings: MetricSettings,
    thresholds: ArrayLike | Literal["oracle"] | None,
    bootstrap: BootstrapSettings | None,
) -> _Findings:
    point = sample_once(labels, logits, settings)
    intervals = None
    if bootstrap is not None:
        samples = bootstrap_metrics(labels, logits, settings, bootstrap)
        intervals = summarise_bootstrap(samples, point, labels.shape[1], bootstrap)
    probabilities: NDArray[np.float64] | None = None
    source: ThresholdSource | None = None
    if point.oracle_cutoffs is not None:
        cutoffs = to_columns(point.oracle_cutoffs[:, 0], point.classes, labels.shape[1])
        probabilities, source = expit(cutoffs), "oracle"
    elif thresholds is not None:
        probabilities, source = np.asarray(thresholds, dtype=np.float64), "given"
    return _Findings(
        per_class=_per_class(point, labels.shape[1]),
        mean_recalls=point.mean_recalls,
        thresholds=probabilities,
        threshold_source=source,
        intervals=intervals,
    )


def _official_findings(
    labels: BoolArray,
    logits: FloatArray,
    groups: Mapping[str, NDArray[np.intp]],
    recall_at: Sequence[float],
) -> _Findings:
    scores = official_scores(logits)
    point = sample_once(labels, scores, MetricSettings(groups, recall_at=()))
    decisions = official_decisions(labels, scores, recall_at)
    thresholds = decisions.pop("threshold")
    return _Findings(
        per_class=_per_class(point, labels.shape[1]) | decisions,
        mean_recalls=point.mean_recalls,
        thresholds=thresholds,
        threshold_source="oracle",
        intervals=None,
    )


def _per_class(point: SampledMetrics, num_classes: int) -> dict[str, NDArray[np.float64]]:
    return {
        name: to_columns(values[:, 0], point.classes, num_classes)
        for name, values in point.per_class.items()
    }


def _group_metrics(
    positives: NDArray[np.intp],
    known: NDArray[np.intp],
    per_class: Mapping[str, NDArray[np.float64]],
    classes: NDArray[np.intp],
) -> GroupMetrics:
    support, known = positives[classes], known[classes]
    evaluable = classes[(support > 0) & (support < known)]
    return GroupMetrics(
        classes=classes,
        evaluated=len(evaluable),
        without_positives=int((support == 0).sum()),
        without_negatives=int(((support > 0) & (support == known)).sum()),
        values={
            name: float(values[evaluable].mean()) if len(evaluable) else float("nan")
            for name, values in per_class.items()
        },
    )
