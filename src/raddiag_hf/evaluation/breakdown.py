"""Breakdown of an evaluation: by modality, by anatomy, and normal against abnormal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.labels.normal_labels import normal_columns
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.predictions import ALL
from raddiag_hf.vocabulary import Anatomy, Modality


@dataclass(frozen=True)
class Subgroup:
    """Some of the cases, evaluated by themselves.

    A class without positives or negatives among them is in no mean, so the means of two subgroups
    are over different classes; ``result`` has their numbers.

    Attributes:
        name: A modality, an anatomy, or ``"all"``.
        num_patients: Their patients.
        result: The metrics of these cases alone, with their intervals.
    """

    name: str
    num_patients: int
    result: EvaluationResult

    def to_dict(self) -> dict[str, Any]:
        """Return the means of each group as JSON values."""
        return {
            "name": self.name,
            "cases": self.result.num_cases,
            "patients": self.num_patients,
            "groups": self.result.group_table(),
        }


@dataclass(frozen=True)
class Breakdown:
    """An evaluation, taken apart.

    Attributes:
        by_modality: Cases with a scan of each modality, the most frequent first; a case with
            several counts in each.
        by_anatomy: Cases of each region, the most frequent first; those of unknown region under
            ``"Unknown"``.
        normal_label: The label that says that nothing was found; None where there is none.
        normal_abnormal: That label alone as the only class: first of all cases, under ``"all"``,
            then of each region (the paper's Figure 5a). Cases without any label, or of which it
            is unknown, are left out, because nobody said that they are abnormal.
    """

    by_modality: tuple[Subgroup, ...]
    by_anatomy: tuple[Subgroup, ...]
    normal_label: str | None
    normal_abnormal: tuple[Subgroup, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values; a value that is undefined is None."""
        return {
            "modality": [subgroup.to_dict() for subgroup in self.by_modality],
            "anatomy": [subgroup.to_dict() for subgroup in self.by_anatomy],
            "normal_label": self.normal_label,
            "normal_abnormal": [
                {
                    "name": subgroup.name,
                    "patients": subgroup.num_patients,
                    "normal": int(subgroup.result.positives[0]),
                    "abnormal": subgroup.result.num_cases - int(subgroup.result.positives[0]),
                }
                | {
                    column: values[0]
                    for column, values in subgroup.result.class_table().items()
                    if column not in ("class", "positives", "known_cases")
                }
                for subgroup in self.normal_abnormal
            ],
        }


def break_down(
    table: PredictionTable,
    *,
    decisions: NDArray[np.bool_] | None = None,
    groups: Mapping[str, NDArray[np.intp]] | None = None,
    bootstrap: BootstrapSettings | None = None,
    progress: Progress = no_progress,
) -> Breakdown:
    """Evaluate the cases of each modality and anatomy by themselves.

    Args:
        table: Predictions of all cases.
        decisions: Which labels each case is predicted to have, as `DecisionRule.decide` returns.
        groups: Columns of each group of classes.
        bootstrap: How to find intervals; where it names patients, they are those of ``table``.
        progress: Told of the subgroups.
    """
    by_modality = _most_frequent_first(
        {
            modality.value: np.array([modality.value in found for found in table.modalities])
            for modality in Modality
        }
    )
    by_anatomy = _most_frequent_first(
        {
            anatomy.value: np.array(
                [(found or Anatomy.UNKNOWN) == anatomy for found in table.anatomies]
            )
            for anatomy in Anatomy
        }
    )
    normal = next(iter(normal_columns(table.label_names)), None)
    by_region = {} if normal is None else _labelled(table, normal, by_anatomy)
    done, total = 0, len(by_modality) + len(by_anatomy) + len(by_region)
    kinds: list[tuple[Subgroup, ...]] = []
    for subgroups, column in ((by_modality, None), (by_anatomy, None), (by_region, normal)):
        found = []
        for name, rows in subgroups.items():
            found.append(_evaluate(name, table, rows, column, decisions, groups, bootstrap))
            done += 1
            progress("Breaking down", done, total)
        kinds.append(tuple(found))
    return Breakdown(
        by_modality=kinds[0],
        by_anatomy=kinds[1],
        normal_label=None if normal is None else table.label_names[normal],
        normal_abnormal=kinds[2],
    )


def _evaluate(
    name: str,
    table: PredictionTable,
    rows: NDArray[np.bool_],
    column: int | None,
    decisions: NDArray[np.bool_] | None,
    groups: Mapping[str, NDArray[np.intp]] | None,
    bootstrap: BootstrapSettings | None,
) -> Subgroup:
    """Evaluate some rows of a table, on all labels in their groups or on one column alone."""
    columns = slice(None) if column is None else slice(column, column + 1)
    patients = [table.patient_ids[row] for row in np.flatnonzero(rows)]
    if bootstrap is not None and bootstrap.patient_ids is not None:
        bootstrap = replace(bootstrap, patient_ids=patients)
    result = evaluate_predictions(
        table.targets[rows, columns],
        table.logits[rows, columns],
        decisions=None if decisions is None else decisions[rows, columns],
        groups=groups if column is None else None,
        class_names=table.label_names[columns],
        bootstrap=bootstrap,
    )
    return Subgroup(name, len(set(patients)), result)


def _labelled(
    table: PredictionTable, normal: int, subgroups: Mapping[str, NDArray[np.bool_]]
) -> dict[str, NDArray[np.bool_]]:
    """Return all cases and each subgroup, but those without a label or of unknown ``normal``."""
    is_labelled = np.asarray(table.labels.any(axis=1))
    if table.unknown is not None:
        is_labelled &= ~table.unknown[:, normal]
    everywhere = {ALL: is_labelled} | {name: rows & is_labelled for name, rows in subgroups.items()}
    return {name: rows for name, rows in everywhere.items() if rows.any()}


def _most_frequent_first(
    subgroups: Mapping[str, NDArray[np.bool_]],
) -> dict[str, NDArray[np.bool_]]:
    """Leave out empty subgroups and sort the others by size."""
    filled = [(name, rows) for name, rows in subgroups.items() if rows.any()]
    return dict(sorted(filled, key=lambda item: -int(item[1].sum())))
