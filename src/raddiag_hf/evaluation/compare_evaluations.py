"""Several evaluations in one table, and whether one model is better than another."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.evaluation.evaluate_model import FILE_FORMAT, evaluated_model, table_notes
from raddiag_hf.evaluation.evaluation_warnings import resample_warnings
from raddiag_hf.evaluation.prediction_table import EvaluationInputError, PredictionTable
from raddiag_hf.evaluation.report.tables import EvaluatedModel, write_tables
from raddiag_hf.evaluation.result_files import METRICS_FILE, PREDICTIONS_FILE
from raddiag_hf.metrics.bootstrap import BootstrapSettings
from raddiag_hf.metrics.comparison import PairedComparison, compare_predictions

COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True)
class _Evaluation:
    """What a finished evaluation left in its folder."""

    path: Path
    name: str
    content: dict[str, Any]


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
    resample_patients: bool = True,
) -> EvaluationComparison:
    """Put finished evaluations side by side, each against the first.

    Args:
        metrics_files: ``metrics.json`` of each evaluation, or its folder; the first is the
            baseline.
        output: Folder for ``table.md``, ``table.tex`` and ``comparison.json``; None writes nothing.
        bootstrap: How to resample for the differences.
        resample_patients: Whether to draw whole patients rather than cases.

    Raises:
        EvaluationInputError: If there are fewer than two evaluations, or a file is none.
        OSError: If one cannot be read.
    """
    if len(metrics_files) < 2:
        raise EvaluationInputError(
            f"a comparison needs at least two evaluations, {len(metrics_files)} were named"
        )
    bootstrap = bootstrap or BootstrapSettings()
    evaluations = _named([_read(path) for path in metrics_files])
    baseline = evaluations[0]
    paired: dict[str, PairedComparison] = {}
    not_paired: dict[str, str] = {}
    for other in evaluations[1:]:
        found = _pair(other, baseline, bootstrap, resample_patients)
        if isinstance(found, str):
            not_paired[other.name] = found
        else:
            paired[other.name] = found
    notes: dict[str, None] = {}
    for evaluation in evaluations:
        for note in table_notes(evaluation.content):
            named = f"{evaluation.name}: {note}" if note.startswith("Thresholds") else note
            notes[named] = None
    if paired:
        notes |= dict.fromkeys(resample_warnings(bootstrap))
    comparison = EvaluationComparison(
        models=_models(evaluations, paired),
        notes=tuple(notes),
        baseline=baseline.name,
        paired=paired,
        not_paired=not_paired,
    )
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_tables(output, comparison.models, comparison.notes)
        with atomic_write(output / COMPARISON_FILE) as path:
            text = json.dumps(comparison.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)
            path.write_text(text + "\n", "utf-8")
    return comparison


def _read(path: Path) -> _Evaluation:
    file = path / METRICS_FILE if path.is_dir() else path
    try:
        content = json.loads(file.read_text("utf-8"))
        if content["format"] != FILE_FORMAT:
            raise ValueError(f"format is {content['format']!r}, expected {FILE_FORMAT}")
        table_notes(content)
        return _Evaluation(file, evaluated_model(content).name, content)
    except (ValueError, TypeError, LookupError) as error:
        raise EvaluationInputError(f"{file}: is not an evaluation: {error!r}") from None


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
    other: _Evaluation, baseline: _Evaluation, bootstrap: BootstrapSettings, by_patient: bool
) -> PairedComparison | str:
    """Return the differences of two evaluations, or why there are none."""
    files = [one.path.with_name(PREDICTIONS_FILE) for one in (other, baseline)]
    if missing := [file for file in files if not file.is_file()]:
        return f"{missing[0]} is not there"
    a, b = (PredictionTable.read(file) for file in files)
    for file, table, one in zip(files, (a, b), (other, baseline), strict=True):
        keys = ("model_fingerprint", "data_fingerprint")
        if any(table.provenance.get(key) != one.content.get(key) for key in keys):
            return f"{file} holds other predictions than {one.path.name} was computed from"
    if a.label_names != b.label_names or sorted(a.case_ids) != sorted(b.case_ids):
        return "its cases or labels are others"
    places = {case: row for row, case in enumerate(b.case_ids)}
    b = b.select(np.array([places[case] for case in a.case_ids]))
    if not np.array_equal(a.labels, b.labels):
        return "its cases have other labels"
    thresholds = _thresholds(other), _thresholds(baseline)
    has_both = thresholds[0] is not None and thresholds[1] is not None
    settings = BootstrapSettings(
        resamples=bootstrap.resamples,
        seed=bootstrap.seed,
        confidence=bootstrap.confidence,
        method=bootstrap.method,
        patient_ids=a.patient_ids if by_patient else None,
    )
    groups = np.array(baseline.content["classes"]["group"], dtype=object)
    return compare_predictions(
        a.labels,
        a.logits / np.float32(other.content["temperature"]),
        b.logits / np.float32(baseline.content["temperature"]),
        thresholds_a=thresholds[0] if has_both else None,
        thresholds_b=thresholds[1] if has_both else None,
        groups={
            name: np.flatnonzero(groups == name)
            for name in ("head", "body", "tail")
            if (groups == name).any()
        },
        bootstrap=settings,
    )


def _thresholds(evaluation: _Evaluation) -> NDArray[np.float64] | None:
    thresholds = evaluation.content["classes"].get("threshold")
    return None if thresholds is None else np.array(thresholds, dtype=np.float64)
