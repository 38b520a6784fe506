"""Comparison of finished evaluations: one table, and whether one model is better than another."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.file_format import FileFormatError, check_format
from raddiag_hf.evaluation.evaluation_folder import (
    FIGURE_FORMATS,
    FILE_FORMAT,
    METRICS_FILE,
    PREDICTIONS_FILE,
    evaluated_model,
    table_notes,
    write_json,
)
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError
from raddiag_hf.evaluation.figures.class_roc_figure import (
    MOST_PANELS,
    draw_class_roc,
    most_frequent_labels,
)
from raddiag_hf.evaluation.figures.evaluation_figure import EvaluationFigure
from raddiag_hf.evaluation.model_evaluation import resample_warnings
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.evaluation.report.tables import EvaluatedModel, write_tables
from raddiag_hf.labels.bands import FrequencyBand
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings, ResampledUnit
from raddiag_hf.metrics.comparison import PairedComparison, compare_predictions
from raddiag_hf.metrics.decision_rule import DecisionRule

COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True)
class _Evaluation:
    """What a finished evaluation left in its folder."""

    path: Path
    name: str
    content: dict[str, Any]

    @property
    def rule(self) -> DecisionRule:
        """What the metrics were decided by."""
        thresholds = self.content["classes"].get("threshold")
        return DecisionRule(
            self.content["temperature"],
            None if thresholds is None else np.array(thresholds, dtype=np.float64),
            source=None,
            is_exclusive=self.content.get("exclusive_labels", False),
        )

    @property
    def groups(self) -> dict[str, NDArray[np.intp]]:
        """Columns of head, body and tail, where they were counted."""
        names = np.array(self.content["classes"]["group"], dtype=object)
        columns = {band.value: np.flatnonzero(names == band) for band in FrequencyBand}
        return {name: found for name, found in columns.items() if len(found)}


class _NotComparableError(Exception):
    """Why there is no difference between two evaluations."""


@dataclass(frozen=True)
class EvaluationComparison:
    """Evaluations side by side.

    Attributes:
        models: Rows of the table, in the order given; the best is sought among those on the same
            data only.
        notes: What a reader has to know.
        baseline: Name of the first evaluation.
        paired: By name of each other evaluation, its difference from the first: positive where it
            is better. Only those on the very same cases whose predictions are still there.
        not_paired: By name of each other evaluation, why it has no difference.
    """

    models: tuple[EvaluatedModel, ...]
    notes: tuple[str, ...]
    baseline: str
    paired: dict[str, PairedComparison]
    not_paired: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "format": FILE_FORMAT,
            "baseline": self.baseline,
            "notes": list(self.notes),
            "models": [
                {"name": model.name, "granularity": model.granularity, "groups": model.groups}
                for model in self.models
            ],
            "paired": {name: found.group_table() for name, found in self.paired.items()},
            "not_paired": self.not_paired,
        }


def compare_evaluations(
    metrics_files: Sequence[Path],
    *,
    output: Path | None = None,
    bootstrap: BootstrapSettings | None = None,
    resample: ResampledUnit = ResampledUnit.PATIENT,
    labels: Sequence[str] = (),
) -> EvaluationComparison:
    """Put finished evaluations side by side, each against the first.

    Args:
        metrics_files: ``metrics.json`` of each evaluation, or its folder; the first is the
            baseline.
        output: Folder for ``table.md``, ``table.tex`` and ``comparison.json``, and for ROC curves
            of all models on the very same cases, ``class_roc.png`` and ``.pdf``; None writes
            nothing.
        bootstrap: How to resample for the differences.
        resample: What is drawn, patients or cases.
        labels: Whose ROC curves are drawn; by default those with the most positive cases.

    Raises:
        EvaluationInputError: If there are fewer than two evaluations, a file is none, nothing is
            to be resampled, or a label that was named has no ROC curve.
        OSError: If one cannot be read.
    """
    if len(metrics_files) < 2:
        raise EvaluationInputError(
            f"a comparison needs at least two evaluations, {len(metrics_files)} were named"
        )
    bootstrap = bootstrap or BootstrapSettings()
    if bootstrap.resamples < 1:
        raise EvaluationInputError(f"resamples is {bootstrap.resamples}: a comparison needs some")
    evaluations = _named([_read(path) for path in metrics_files])
    baseline = evaluations[0]
    paired: dict[str, PairedComparison] = {}
    not_paired: dict[str, str] = {}
    for other in evaluations[1:]:
        try:
            paired[other.name] = _pair(other, baseline, bootstrap, resample)
        except _NotComparableError as reason:
            not_paired[other.name] = str(reason)
    notes = _notes(evaluations)
    if paired:
        notes |= dict.fromkeys(resample_warnings(bootstrap))
    comparison = EvaluationComparison(
        models=_models(evaluations, paired),
        notes=tuple(notes),
        baseline=baseline.name,
        paired=paired,
        not_paired=not_paired,
    )
    figure = _class_roc([baseline, *(one for one in evaluations if one.name in paired)], labels)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_tables(output, comparison.models, comparison.notes)
        write_json(comparison.to_dict(), output / COMPARISON_FILE)
        if figure is not None:
            for file_format in FIGURE_FORMATS:
                with atomic_write(output / f"{figure.name}.{file_format}") as temporary:
                    temporary.write_bytes(figure.render(file_format))
    return comparison


def _class_roc(
    evaluations: Sequence[_Evaluation], labels: Sequence[str]
) -> EvaluationFigure | None:
    """Return the curves of evaluations of the very same cases; None where there are no two.

    Raises:
        EvaluationInputError: If a label is none, or has no curve.
    """
    if len(evaluations) < 2:
        return None
    first = _predictions(evaluations[0])
    tables = {one.name: _in_order_of(first, _predictions(one)) for one in evaluations}
    logits = {one.name: one.rule.calibrated(tables[one.name].logits) for one in evaluations}
    names, drawable = first.label_names, most_frequent_labels(first.targets, most=None)
    for label in labels:
        if label not in names or names.index(label) not in drawable:
            fault = "no case, or every case, has it" if label in names else "there is no such label"
            raise EvaluationInputError(f"label {label!r}: {fault}")
    columns = [names.index(label) for label in labels] or drawable[:MOST_PANELS]
    if not columns:
        return None
    return EvaluationFigure(
        "class_roc",
        "ROC of single labels",
        lambda palette: draw_class_roc(first.targets, logits, names, columns, palette),
        "ROC curves of the models over each other.",
        "",
    )


def _notes(evaluations: Sequence[_Evaluation]) -> dict[str, None]:
    """Return the notes of all, each once, under the model's name where it is of one model alone."""
    own = {evaluation.name: table_notes(evaluation.content) for evaluation in evaluations}
    bands = {note for notes in own.values() for note in notes if note.startswith("Head")}
    of_one = ["Scans were", "Thresholds", "Decisions", "The most probable", "Of a case's"]
    of_one += ["Head"] if len(bands) > 1 else []
    return {
        f"{name}: {note}" if note.startswith(tuple(of_one)) else note: None
        for name, notes in own.items()
        for note in notes
    }


def _read(path: Path) -> _Evaluation:
    file = path / METRICS_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text("utf-8"))
        check_format(content.get("format", 1), FILE_FORMAT)
        table_notes(content)
        return _Evaluation(file, evaluated_model(content).name, content)
    except FileFormatError as error:
        raise EvaluationInputError(f"{file}: {one_line(error)}") from None
    except (ValueError, TypeError, LookupError) as error:
        raise EvaluationInputError(
            f"{file}: is not what `raddiag evaluate` writes ({one_line(error)}); evaluate a "
            "trained model first"
        ) from None


def _named(evaluations: Sequence[_Evaluation]) -> list[_Evaluation]:
    """Call evaluations of one model by their folders, where names would be the same."""
    names = [evaluation.name for evaluation in evaluations]
    if len(set(names)) < len(names):
        names = [evaluation.path.parent.name for evaluation in evaluations]
    if len(set(names)) < len(names):
        names = [str(evaluation.path.parent) for evaluation in evaluations]
    if len(set(names)) < len(names):
        raise EvaluationInputError(f"{names[0]}: an evaluation was named twice")
    return [
        _Evaluation(evaluation.path, name, evaluation.content)
        for evaluation, name in zip(evaluations, names, strict=True)
    ]


def _models(
    evaluations: Sequence[_Evaluation], paired: Mapping[str, PairedComparison]
) -> tuple[EvaluatedModel, ...]:
    """Return the rows; data of one name that are not the same are told apart by their digest."""
    models = [evaluated_model(one.content, one.name) for one in evaluations]
    data = [
        evaluations[0 if one.name in paired else place].content.get("data_fingerprint", "")
        for place, one in enumerate(evaluations)
    ]
    found: dict[str, set[str]] = {}
    for model, digest in zip(models, data, strict=True):
        found.setdefault(model.granularity, set()).add(digest)
    return tuple(
        replace(model, granularity=f"{model.granularity} ({digest[:8]})")
        if len(found[model.granularity]) > 1
        else model
        for model, digest in zip(models, data, strict=True)
    )


def _pair(
    other: _Evaluation, baseline: _Evaluation, bootstrap: BootstrapSettings, unit: ResampledUnit
) -> PairedComparison:
    """Return the differences of an evaluation from the baseline.

    Raises:
        _NotComparableError: If they are not of the same cases, or the predictions are not there.
    """
    a, b = _predictions(other), _predictions(baseline)
    b = _in_order_of(a, b)
    decided_a, decided_b = other.rule.decide(a.logits), baseline.rule.decide(b.logits)
    has_both = decided_a is not None and decided_b is not None
    return compare_predictions(
        a.targets,
        other.rule.calibrated(a.logits),
        baseline.rule.calibrated(b.logits),
        decisions_a=decided_a if has_both else None,
        decisions_b=decided_b if has_both else None,
        groups=baseline.groups,
        bootstrap=bootstrap.drawing(unit, a.patient_ids),
    )


def _predictions(evaluation: _Evaluation) -> PredictionTable:
    """Read what an evaluation's metrics were computed from."""
    file = evaluation.path.with_name(PREDICTIONS_FILE)
    if not file.is_file():
        raise _NotComparableError(f"{file} is not there")
    table = PredictionTable.read(file)
    for key in ("model_fingerprint", "data_fingerprint"):
        if table.provenance.get(key) != evaluation.content.get(key):
            raise _NotComparableError(
                f"{file} holds other predictions than {evaluation.path.name} was computed from"
            )
    return table


def _in_order_of(first: PredictionTable, second: PredictionTable) -> PredictionTable:
    """Return the second table with its cases in the order of the first."""
    is_same = sorted(first.case_ids) == sorted(second.case_ids)
    if not is_same or first.label_names != second.label_names:
        raise _NotComparableError("its cases or labels are others")
    places = {case: row for row, case in enumerate(second.case_ids)}
    second = second.select(np.array([places[case] for case in first.case_ids]))
    if not np.array_equal(first.targets, second.targets, equal_nan=True):
        raise _NotComparableError("its cases have other labels")
    return second
