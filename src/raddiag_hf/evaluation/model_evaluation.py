"""Result of an evaluation: metrics, breakdown, decision rule, and what to know before believing."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.core.package_versions import package_versions
from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.evaluation.breakdown import Breakdown
from raddiag_hf.evaluation.evaluation_folder import FILE_FORMAT
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.labels.bands import BandRule
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.calibration import Reliability
from raddiag_hf.metrics.decision_rule import DecisionRule
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.top_k import TopKRecall

FEWEST_RESAMPLES = 100
"""Intervals from fewer resamples are told to be rough."""


@dataclass(frozen=True, eq=False)
class ModelEvaluation:
    """What an evaluation found, and of what.

    Attributes:
        table: The predictions, logits divided by the temperature: their sigmoid is what the
            thresholds of ``result`` are compared with.
        result: Every metric per class and group.
        breakdown: By modality and anatomy, and normal against abnormal.
        rule: Temperature and thresholds.
        reliability: By binning, of all classes together.
        provenance: Model, data set and their fingerprints.
        groups: Columns of head, body and tail; empty where their cases were not counted.
        warnings: What a reader should know, in words.
        official: What the reference implementation prints; None where nobody asked.
        bands: How labels were sorted into head, body and tail; None where there are none.
        chapters: The means over the labels of each chapter of ICD-10-CM; None where no label has a
            code.
        top_k: Recall of a case's labels among its most probable ones; None where there is none.
    """

    table: PredictionTable
    result: EvaluationResult
    breakdown: Breakdown
    rule: DecisionRule
    reliability: Mapping[str, Reliability]
    provenance: Mapping[str, str]
    groups: Mapping[str, NDArray[np.intp]]
    warnings: tuple[str, ...]
    official: EvaluationResult | None = None
    bands: BandRule | None = None
    chapters: EvaluationResult | None = None
    top_k: TopKRecall | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the predictions as JSON values; what is undefined is None."""
        content = self.result.to_dict()
        names = np.full(len(self.result.class_names), None, dtype=object)
        for name, members in self.groups.items():
            names[members] = name
        content["classes"]["group"] = names.tolist()
        return {
            "format": FILE_FORMAT,
            **self.provenance,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": package_versions(),
            "warnings": list(self.warnings),
            "temperature": self.rule.temperature,
            "exclusive_labels": self.rule.is_exclusive,
            "bands": None if self.bands is None else asdict(self.bands),
            "threshold_description": self.rule.source,
            "reliability": {
                binning: found.to_dict() for binning, found in self.reliability.items()
            },
            "breakdown": self.breakdown.to_dict(),
            "chapters": None if self.chapters is None else self.chapters.group_table(),
            "top_k_recall": None if self.top_k is None else asdict(self.top_k),
            "official": None if self.official is None else self.official.group_table(),
            **content,
        }


def evaluation_warnings(
    cases: CaseSplit, calibration: CaseSplit | None, rule: DecisionRule, *, has_bands: bool
) -> list[str]:
    """Return what is to be said of cases and thresholds before the numbers are believed.

    Args:
        cases: What the model is evaluated on.
        calibration: What the rule was chosen on; None where it is stored with the model.
        rule: Temperature and thresholds.
        has_bands: Whether the cases were counted by which labels are head, body or tail.
    """
    found = []
    if rule.thresholds is None and not rule.is_exclusive:
        found.append(
            "The model carries no thresholds, so F1, MCC and accuracy are left out; choose them on "
            "the validation cases."
        )
    if not has_bands:
        found.append(
            "The data set does not say how many training cases its labels have, so there is no "
            "head, body and tail."
        )
    if num_partly := int((cases.unknown_counts > 0).sum()):
        found.append(
            f"Of {num_partly} {cases.split} cases some labels are unknown; each counts only for "
            "the labels that are known."
        )
    if calibration is not None:
        shared = {*cases.patient_ids} & {*calibration.patient_ids}
        if shared:
            found.append(
                f"{len(shared)} patients have cases in the {cases.split} and in the "
                f"{calibration.split} split, so thresholds were chosen on patients that they are "
                "evaluated on."
            )
    elif rule.source is not None and f"{cases.split} case" in rule.source:
        found.append(
            f"The model's thresholds were chosen on {cases.split} cases: if they are these, F1, "
            "MCC and calibration look better than on cases that nothing was chosen on."
        )
    return found


def resample_warnings(bootstrap: BootstrapSettings | None) -> list[str]:
    """Return what is to be said where the bootstrap draws too seldom."""
    if bootstrap is None or bootstrap.resamples >= FEWEST_RESAMPLES:
        return []
    return [
        f"Intervals from only {bootstrap.resamples} resamples are rough: their ends take "
        f"{FEWEST_RESAMPLES} at least, and better 1000."
    ]
