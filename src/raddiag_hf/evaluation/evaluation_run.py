"""Evaluation of a model on a split of a case data set, from pixels to tables."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.checkpoints.loaded_model import LoadedModel, check_label_texts
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.data.opening import count_labels, open_cases
from raddiag_hf.evaluation.breakdown import break_down
from raddiag_hf.evaluation.evaluate_by_rule import evaluate_by_rule
from raddiag_hf.evaluation.evaluation_folder import (
    CALIBRATION_FILE,
    PREDICTIONS_FILE,
    only_evaluation,
    write_metrics,
)
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError, EvaluationSettings
from raddiag_hf.evaluation.late_fusion import pooled_by
from raddiag_hf.evaluation.model_evaluation import (
    ModelEvaluation,
    evaluation_warnings,
    resample_warnings,
)
from raddiag_hf.evaluation.predict_cases import (
    check_predictions,
    join_processes,
    predict_cases,
    remove_other_models,
)
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.labels.bands import CountedCases
from raddiag_hf.labels.icd10_chapters import chapter_columns
from raddiag_hf.metrics.calibration import reliability
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.metrics.decision_rule import MOST_PROBABLE, DecisionRule, choose_decision_rule
from raddiag_hf.metrics.predictions import ALL
from raddiag_hf.metrics.threshold_rule import ThresholdRule
from raddiag_hf.metrics.top_k import top_k_recall
from raddiag_hf.model.configuration_raddiag import RadDiagConfig


def evaluate_model(
    loaded: LoadedModel,
    dataset: Path | str,
    split: str,
    output: Path,
    settings: EvaluationSettings | None = None,
    progress: Progress = no_progress,
) -> ModelEvaluation | None:
    """Predict a split, evaluate the predictions, and write what was found.

    ``output`` receives ``predictions.parquet``, ``metrics.json``, ``table.md`` and ``table.tex``;
    ``calibration_predictions.parquet`` where thresholds are chosen. An evaluation that was
    interrupted resumes when it is asked for again; see `predict_cases`. A report and figures of
    earlier metrics are removed.

    Args:
        loaded: The model, on the device of this process.
        dataset: Folder of a case data set, or one on the Hub.
        split: Which cases to evaluate on.
        output: Folder; made where it is not.
        settings: What to evaluate, and what to decide by.
        progress: Hears of the steps.

    Returns:
        The evaluation; None in all processes but the main one.

    Raises:
        CaseDataError: If data set, split or label column cannot be used.
        EvaluationInputError: If the choices cannot, or do not suit the model.
        RunFolderError: If ``output`` holds something that no evaluation made, or predictions of
            something else.
        RunInProgressError: If another evaluation is at work in ``output``.
        LabelMismatchError: If the data set's labels are not the model's.
        LabelTextsMissingError: If the model has a knowledge classifier without label texts.

    Example:
        >>> from raddiag_hf import load_model
        >>> loaded = load_model("model")
        >>> found = evaluate_model(loaded, "cases", "test", Path("out"))
        >>> sorted(found.result.group_table())[:3]
        ['ap', 'ap_high', 'ap_low']
    """
    settings = settings or EvaluationSettings()
    if settings.calibrate_on == split:
        raise EvaluationInputError(
            f"thresholds would be chosen on the {split} cases that they are evaluated on"
        )
    check_label_texts(loaded.model, loaded.model_id)
    if loaded.model.config.has_exclusive_labels:
        for name, needless in (("target_fpr", None), ("threshold_rule", ThresholdRule.F1_SHARED)):
            if (value := getattr(settings, name)) != needless:
                raise EvaluationInputError(
                    f"{name} is {value}, but the labels of {loaded.model_id} are exclusive: "
                    f"{MOST_PROBABLE}, without thresholds"
                )
    with pooled_by(loaded, settings.fusion, settings.store), only_evaluation(output):
        return _evaluate_model(loaded, dataset, split, output, settings, progress)


def _evaluate_model(
    loaded: LoadedModel,
    dataset: Path | str,
    split: str,
    output: Path,
    settings: EvaluationSettings,
    progress: Progress,
) -> ModelEvaluation | None:
    config_file = _writable_config(loaded) if settings.store else None
    config = loaded.model.config
    progress("Reading the data set", 0, 0)
    state = join_processes(loaded.model.device.type)
    with state.local_main_process_first():  # the others find what the first has prepared
        opened = open_cases(
            dataset,
            [split, *filter(None, [settings.calibrate_on])],
            label_column=settings.label_column,
            config=config,
            check_patients=False,
        ).labelled()
    for asked in filter(None, [split, settings.calibrate_on]):
        if asked not in opened:
            raise EvaluationInputError(f"{dataset}: nobody labelled any of the {asked} cases")
    cases = opened[split]
    calibration = opened.get(settings.calibrate_on or "")
    splits = {CALIBRATION_FILE: calibration, PREDICTIONS_FILE: cases}
    wanted = {output / name: found for name, found in splits.items() if found is not None}
    if state.is_main_process and not settings.prediction.overwrite:
        for path, predicted in wanted.items():  # all of them before the first changes the folder
            check_predictions(loaded, predicted, path)
    for path, predicted in wanted.items():
        predict_cases(loaded, predicted, path, settings.prediction, progress)
    if not state.is_main_process:
        return None
    table = PredictionTable.read(output / PREDICTIONS_FILE)
    if calibration is None:
        rule = DecisionRule.of_model(config)
        if settings.prediction.overwrite:
            remove_other_models(output / CALIBRATION_FILE, table.provenance)
    else:
        progress("Choosing thresholds", 0, 0)
        validation = PredictionTable.read(output / CALIBRATION_FILE)
        rule = _choose_rule(validation, settings, config.has_exclusive_labels)
    bands, counts = settings.band_rule, cases.label_set.train_counts
    if bands.counted is CountedCases.WHOLE:
        counts = count_labels(dataset, cases)
    warnings = evaluation_warnings(cases, calibration, rule, has_bands=any(counts))
    if opened.num_unlabelled:
        warnings.append(f"{opened.num_unlabelled} cases were left out, of which no label is known.")
    chapters = chapter_columns(cases.label_set.codes)
    evaluation = _evaluate(table, counts, chapters, rule, settings, warnings, progress)
    write_metrics(evaluation.to_dict(), output)
    if config_file is not None:
        _store_decision_rule(rule, config_file)
        for field, value in rule.config_fields().items():
            setattr(config, field, value)
    return evaluation


def _choose_rule(
    validation: PredictionTable, settings: EvaluationSettings, exclusive: bool
) -> DecisionRule:
    return choose_decision_rule(
        validation.targets,
        validation.logits,
        target_fpr=settings.target_fpr,
        threshold_rule=settings.threshold_rule,
        min_positives=settings.min_positives,
        exclusive=exclusive,
    )


def _evaluate(
    table: PredictionTable,
    label_counts: tuple[int, ...],
    chapters: Mapping[str, NDArray[np.intp]],
    rule: DecisionRule,
    settings: EvaluationSettings,
    warnings: list[str],
    progress: Progress,
) -> ModelEvaluation:
    bootstrap = None
    if settings.bootstrap.resamples:
        bootstrap = settings.bootstrap.drawing(settings.resample, table.patient_ids)
    progress("Computing metrics", 0, 0)
    result, groups = evaluate_by_rule(
        table.targets,
        table.logits,
        rule,
        class_names=table.label_names,
        label_counts=label_counts,
        bootstrap=bootstrap,
        bands=settings.band_rule,
        further_groups=chapters,
    )
    decisions = rule.decide(table.logits)
    table = replace(table, logits=rule.calibrated(table.logits))
    official = None
    if settings.official:
        official = evaluate_predictions(
            table.targets,
            table.logits,
            mode="official",
            groups=groups,
            class_names=table.label_names,
        )
    return ModelEvaluation(
        table=table,
        result=result.of_groups([*groups, ALL]),
        chapters=result.of_groups(chapters) if chapters else None,
        top_k=top_k_recall(table.targets, table.logits, bootstrap=bootstrap),
        breakdown=break_down(
            table,
            decisions=decisions,
            groups=groups,
            bootstrap=bootstrap,
            progress=progress,
        ),
        rule=rule,
        reliability={
            binning: reliability(table.targets, table.logits, binning=binning, bootstrap=bootstrap)
            for binning in ("equal_width", "equal_count")
        },
        provenance=table.provenance,
        groups=groups,
        bands=settings.band_rule if groups else None,
        warnings=(*warnings, *resample_warnings(bootstrap)),
        official=official,
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
