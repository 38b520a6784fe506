"""Metrics of a model's logits as its users meet them: calibrated, decided, and by band."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.labels.bands import BandRule
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.metrics.confusion import count_confusion
from raddiag_hf.metrics.decision_rule import DecisionRule
from raddiag_hf.metrics.evaluation_result import EvaluationResult


def evaluate_by_rule(
    labels: ArrayLike,
    logits: ArrayLike,
    rule: DecisionRule,
    *,
    class_names: Sequence[str],
    label_counts: Sequence[int],
    bootstrap: BootstrapSettings | None,
    bands: BandRule,
    further_groups: Mapping[str, NDArray[np.intp]] | None = None,
) -> tuple[EvaluationResult, dict[str, NDArray[np.intp]]]:
    """Return every metric per class and band, and the columns of each band.

    Args:
        labels: 0 or 1, NaN where unknown, ``(cases, classes)``.
        logits: As the model gives them, ``(cases, classes)``.
        rule: Temperature and thresholds.
        class_names: In the order of the columns.
        label_counts: Cases of each class that ``bands`` counts; no bands where all are 0.
        bootstrap: How to find intervals; None for none.
        bands: How classes are sorted into head, body and tail.
        further_groups: Columns of groups that the result has beside the bands.
    """
    groups: dict[str, NDArray[np.intp]] = {}
    if any(label_counts):
        groups = bands.columns(label_counts)
    decisions = rule.decide(logits) if rule.is_exclusive else None
    result = evaluate_predictions(
        labels,
        rule.calibrated(logits),
        thresholds=rule.thresholds,
        decisions=decisions,
        groups={**groups, **(further_groups or {})},
        class_names=class_names,
        bootstrap=bootstrap,
    )
    if decisions is not None:
        found = count_confusion(np.asarray(labels) == 1, decisions, bootstrap)
        result = replace(result, confusion=found)
    return result, groups
