"""Evaluate a model on a split of a case data set, from pixels to tables."""

import importlib.metadata
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.checkpoints.label_text_check import check_label_texts
from raddiag_hf.checkpoints.loading import LoadedModel
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.data.opening import open_cases
from raddiag_hf.evaluation.breakdown import Breakdown, break_down
from raddiag_hf.evaluation.evaluation_warnings import evaluation_warnings, resample_warnings
from raddiag_hf.evaluation.predict_cases import PredictionSettings, predict_cases
from raddiag_hf.evaluation.prediction_table import (
    EvaluationInputError,
    PredictionTable,
    read_provenance,
)
from raddiag_hf.evaluation.processes import join_processes
from raddiag_hf.evaluation.report.tables import EvaluatedModel, write_tables
from raddiag_hf.evaluation.result_files import (
    CALIBRATION_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    remove_report,
)
from raddiag_hf.inference.diagnose import VERSIONED_PACKAGES
from raddiag_hf.labels.bands import band_columns
from raddiag_hf.metrics.bootstrap import BootstrapSettings
from raddiag_hf.metrics.calibration import Reliability, reliability
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.metrics.decision_rule import DecisionRule, choose_decision_rule
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.vocabulary import Split

FILE_FORMAT = 1

StepReport = Callable[[str, int, int], None]
"""Called with what is being done, steps done, and steps in all (0 where they are not counted)."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What to evaluate, and what to decide by.

    Attributes:
        label_column: The label space, for data sets with several; by default the model's.
        calibrate_on: ``Split.VALIDATION`` chooses temperature and thresholds on that split of the
            same data set; None takes those that are stored with the model.
        target_fpr: Choose thresholds for this false-positive rate rather than for the highest F1.
        min_positives: Positives that a class needs for an F1 threshold of its own.
        store: Whether to store what was chosen in the model's ``config.json``.
        head_from: A head class has at least this many training cases.
        tail_below: A tail class has fewer than this many.
        bootstrap: How to find intervals; None for none.
        resample_patients: Whether to draw whole patients, because cases of one patient are not
            independent, rather than cases.
        official: Whether to compute what the reference implementation prints too, for comparison
            with the paper's tables; its thresholds are chosen on the evaluated cases.
        prediction: How much to do at once.

    Raises:
        EvaluationInputError: If thresholds would be chosen on anything but validation cases, or an
            option means nothing without ``calibrate_on``.
    """

    label_column: str | None = None
    calibrate_on: Split | None = None
    target_fpr: float | None = None
    min_positives: int = 10
    store: bool = False
    head_from: int = 100
    tail_below: int = 30
    bootstrap: BootstrapSettings | None = field(default_factory=BootstrapSettings)
    resample_patients: bool = True
    official: bool = False
    prediction: PredictionSettings = field(default_factory=PredictionSettings)

    def __post_init__(self) -> None:
        if self.calibrate_on not in (None, Split.VALIDATION):
            raise EvaluationInputError(
                f"thresholds are chosen on validation cases, never on {self.calibrate_on} cases: "
                "numbers would look better than any user could have them"
            )
        if self.calibrate_on is None and (self.store or self.target_fpr is not None):
            raise EvaluationInputError(
                "choosing or storing thresholds needs the split to choose them on: validation"
            )


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
        groups: Group of each class; empty where the training cases were not counted.
        warnings: What a reader should know, in words.
        official: What the reference implementation prints; None where nobody asked.
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
            "versions": {name: importlib.metadata.version(name) for name in VERSIONED_PACKAGES},
            "warnings": list(self.warnings),
            "temperature": self.rule.temperature,
            "threshold_description": self.rule.source,
            "reliability": {
                binning: _describe_reliability(found) for binning, found in self.reliability.items()
            },
            "breakdown": self.breakdown.to_dict(),
            "official": None if self.official is None else self.official.group_table(),
            **content,
        }


def evaluate_model(
    loaded: LoadedModel,
    dataset: Path | str,
    split: str,
    output: Path,
    settings: EvaluationSettings | None = None,
    report_step: StepReport | None = None,
) -> ModelEvaluation | None:
    """Predict a split, evaluate the predictions, and write what was found.

    ``output`` receives ``predictions.parquet``, ``metrics.json``, ``table.md`` and ``table.tex``;
    ``calibration_predictions.parquet`` where thresholds are chosen. An evaluation that was
    interrupted goes on where it was when it is asked for again; see `predict_cases`. A report and
    figures of earlier metrics are removed.

    Args:
        loaded: The model, on the device of this process.
        dataset: Folder of a case data set, or one on the Hub.
        split: Which cases to evaluate on.
        output: Folder; made where it is not.
        settings: What to evaluate, and what to decide by.
        report_step: Hears of the progress.

    Returns:
        The evaluation; None in all processes but the main one.

    Raises:
        CaseDataError: If data set, split or label column cannot be used.
        EvaluationInputError: If the choices cannot, or ``output`` holds predictions of something
            else.
        LabelMismatchError: If the data set's labels are not the model's.
        LabelTextsMissingError: If the model has a knowledge classifier without label texts.

    Example:
        >>> loaded = load_model("path/to/model")  # doctest: +SKIP
        >>> found = evaluate_model(loaded, "path/to/cases", "test", Path("out"))  # doctest: +SKIP
        >>> found.result.group_table()["auc"]  # doctest: +SKIP
    """
    settings = settings or EvaluationSettings()
    report = report_step or (lambda what, done, total: None)
    if settings.calibrate_on == split:
        raise EvaluationInputError(
            f"thresholds would be chosen on the {split} cases that they are evaluated on"
        )
    check_label_texts(loaded.model, loaded.model_id)
    config_file = _writable_config(loaded) if settings.store else None
    config = loaded.model.config
    report("Reading the data set", 0, 0)
    state = join_processes(loaded.model.device.type)
    with state.local_main_process_first():  # the others find what the first has prepared
        opened = open_cases(
            dataset,
            [split, *filter(None, [settings.calibrate_on])],
            label_column=settings.label_column,
            config=config,
            check_patients=False,
        )
    cases = opened[split]
    calibration = opened.get(settings.calibrate_on or "")
    for wanted, name in ((calibration, CALIBRATION_FILE), (cases, PREDICTIONS_FILE)):
        if wanted is not None:
            what = f"Predicting {wanted.split} cases"
            predict_cases(
                loaded,
                wanted,
                output / name,
                settings.prediction,
                lambda done, total, what=what: report(what, done, total),  # type: ignore[misc]
            )
    if not state.is_main_process:
        return None
    rule = DecisionRule.of_model(config)
    if calibration is not None:
        report("Choosing thresholds", 0, 0)
        validation = PredictionTable.read(output / CALIBRATION_FILE)
        rule = choose_decision_rule(
            validation.labels,
            validation.logits,
            target_fpr=settings.target_fpr,
            min_positives=settings.min_positives,
        )
    table = PredictionTable.read(output / PREDICTIONS_FILE)
    if calibration is None and settings.prediction.overwrite:
        _remove_if_foreign(output / CALIBRATION_FILE, table.provenance)
    evaluation = _evaluate(table, cases, calibration, rule, settings, report)
    _write(evaluation, output)
    if config_file is not None:
        _store_decision_rule(rule, config_file)
        for name, value in rule.config_fields().items():
            setattr(config, name, value)
    return evaluation


def _evaluate(
    table: PredictionTable,
    cases: CaseSplit,
    calibration: CaseSplit | None,
    rule: DecisionRule,
    settings: EvaluationSettings,
    report: StepReport,
) -> ModelEvaluation:
    groups: dict[str, NDArray[np.intp]] = {}
    if any(cases.label_set.train_counts):
        groups = band_columns(
            cases.label_set.train_counts,
            head_from=settings.head_from,
            tail_below=settings.tail_below,
        )
    bootstrap = settings.bootstrap
    if bootstrap is not None and settings.resample_patients:
        bootstrap = replace(bootstrap, patient_ids=table.patient_ids)
    if rule.temperature != 1.0:
        table = replace(table, logits=table.logits / np.float32(rule.temperature))
    report("Computing metrics", 0, 0)
    result = evaluate_predictions(
        table.labels,
        table.logits,
        thresholds=rule.thresholds,
        groups=groups,
        class_names=table.label_names,
        bootstrap=bootstrap,
    )
    breakdown = break_down(
        table,
        thresholds=rule.thresholds,
        groups=groups,
        bootstrap=bootstrap,
        report_progress=lambda done, total: report("Breaking down", done, total),
    )
    return ModelEvaluation(
        table=table,
        result=result,
        breakdown=breakdown,
        rule=rule,
        reliability={
            binning: reliability(table.labels, table.logits, binning=binning, bootstrap=bootstrap)
            for binning in ("equal_width", "equal_count")
        },
        provenance=table.provenance,
        groups=groups,
        warnings=(*evaluation_warnings(cases, calibration, rule), *resample_warnings(bootstrap)),
        official=evaluate_predictions(
            table.labels,
            table.logits,
            mode="official",
            groups=groups,
            class_names=table.label_names,
        )
        if settings.official
        else None,
    )


def _writable_config(loaded: LoadedModel) -> Path:
    """Return the ``config.json`` of a model that lies in a folder of the user's.

    Raises:
        EvaluationInputError: If the model was downloaded or converted into a cache.
    """
    asked, found = Path(loaded.model_id).expanduser(), Path(loaded.model.name_or_path)
    path = found / "config.json"
    is_users = asked.is_dir() and found.resolve().is_relative_to(asked.resolve())
    if loaded.revision is not None or not is_users or not path.is_file():
        raise EvaluationInputError(
            f"{loaded.model_id}: thresholds can only be stored with a saved model in a folder; "
            "download or convert it first"
        )
    return path


def _store_decision_rule(rule: DecisionRule, path: Path) -> None:
    """Write the rule into a model's ``config.json``; all else in it stays as it is.

    Raises:
        EvaluationInputError: If the file is not the configuration of a model with these labels.
        OSError: If it cannot be written.
    """
    try:
        config = json.loads(path.read_text("utf-8")) | rule.config_fields()
        RadDiagConfig.from_dict(config)
    except (ValueError, TypeError) as error:
        raise EvaluationInputError(f"{path}: {error}") from error
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
        temporary.chmod(path.stat().st_mode)


def _remove_if_foreign(path: Path, provenance: Mapping[str, str]) -> None:
    """Remove predictions that thresholds of another model were chosen on."""
    try:
        found = read_provenance(path)
    except FileNotFoundError:
        return
    except EvaluationInputError:
        found = {}
    if found.get("model_fingerprint") != provenance["model_fingerprint"]:
        path.unlink()


def _write(evaluation: ModelEvaluation, output: Path) -> None:
    content = evaluation.to_dict()
    remove_report(output)  # it would tell of other metrics
    with atomic_write(output / METRICS_FILE) as path:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
        path.write_text(text + "\n", "utf-8")
    write_tables(output, [evaluated_model(content)], table_notes(content))


def evaluated_model(content: Mapping[str, Any], name: str | None = None) -> EvaluatedModel:
    """Return the rows of an evaluation's table.

    Args:
        content: What `ModelEvaluation.to_dict` returned.
        name: What to call the model; by default its folder's name or Hub id.
    """
    data = short_name(content["dataset"])
    granularity = f"{data}: {content['label_column']}, {content['split']}"
    return EvaluatedModel(name or short_name(content["model"]), granularity, content["groups"])


def short_name(location: str) -> str:
    """Return a Hub id as it is, and of a folder its last part."""
    is_hub_id = location.count("/") == 1 and location[0] not in "./~"
    return location if is_hub_id else Path(location).name


def table_notes(content: Mapping[str, Any]) -> list[str]:
    """Return what a reader of the table has to know, in sentences."""
    notes = [
        f"All indicators in percent, means over the classes that can be evaluated, on "
        f"{content['num_cases']} {content['split']} cases of {short_name(content['dataset'])}."
    ]
    if (bootstrap := content["bootstrap"]) is not None:
        notes.append(
            f"In brackets: {100 * bootstrap['confidence']:g} % intervals from "
            f"{bootstrap['resamples']} bootstrap resamples of {bootstrap['resampled_unit']}s."
        )
    if content["threshold_description"] is not None:
        notes.append(f"Thresholds: {content['threshold_description']}.")
    return notes


def _describe_reliability(found: Reliability) -> dict[str, Any]:
    def plain(values: NDArray[np.float64]) -> list[float | None]:
        return [None if np.isnan(value) else float(value) for value in values]

    interval = found.error_interval
    return {
        "error": found.error,
        "error_low": None if interval is None else float(interval.low),
        "error_high": None if interval is None else float(interval.high),
        "edges": plain(found.edges),
        "counts": found.counts.tolist(),
        "mean_probabilities": plain(found.mean_probabilities),
        "frequencies": plain(found.frequencies),
    }
