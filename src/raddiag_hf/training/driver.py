"""Training driver: claim a folder, fit by a method, choose thresholds, evaluate, save."""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError

from raddiag_hf.checkpoints.adapters import ADAPTER_WEIGHTS
from raddiag_hf.checkpoints.training_domain import (
    EMBEDDINGS_FILE,
    KINDS_FILE,
    TrainingDomain,
)
from raddiag_hf.core.atomic_files import named_storage_failure
from raddiag_hf.core.checkpoint_folders import failed_write
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.file_format import FileFormatError
from raddiag_hf.core.package_versions import package_versions
from raddiag_hf.core.processes import is_first_process, wait_for_processes
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder, RunFolderError
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.evaluation.evaluate_by_rule import evaluate_by_rule
from raddiag_hf.evaluation.evaluation_folder import FILE_FORMAT, METRICS_FILE, write_json
from raddiag_hf.evaluation.report.tables import count
from raddiag_hf.labels.bands import BandRule
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.decision_rule import DecisionRule, choose_decision_rule
from raddiag_hf.metrics.threshold_rule import ThresholdRule
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.training.domain import learn_domain
from raddiag_hf.training.known_failures import find_data_failures, find_model_failures
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.training.model_card import write_model_card
from raddiag_hf.training.record import (
    TrainingOrigin,
    TrainingRecord,
    describe_hardware,
)
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

LABEL_SET_FILE = "label_set.json"
MODEL_FILES = ("config.json", "preprocessor_config.json", LABEL_SET_FILE, "README.md")
"""What a finished model has beside its weights."""
USEFUL_GAIN = 0.01
"""Share of the validation cross-entropy that a temperature has to save to be kept."""


@dataclass(frozen=True)
class TrainingRun:
    """A training that is prepared: nothing of it was written yet.

    Attributes:
        folder: Whose the run will be.
        identity: All that has to be equal for a run to continue another.
        data: Training cases, validation cases to choose on, test cases to evaluate on; the last two
            where there are any.
        processor: The model's.
        origin: What is trained, and how.
        fit: Fits the model, resuming what was interrupted.
        device: Where.
        record_file: Name of the record, which is written last.
        threshold_rule: Which classes have a threshold of their own.
        ood_score: Whether the model gets an out-of-distribution score.
        model_folder: Where in ``folder`` the model ends up; empty for the folder itself.
        leftovers: What nobody needs once the model is there.
    """

    folder: RunFolder
    identity: Mapping[str, Any]
    data: CaseSplits
    processor: RadDiagImageProcessor
    origin: TrainingOrigin
    fit: Callable[[Progress], FittedModel]
    device: torch.device
    record_file: str
    threshold_rule: ThresholdRule = ThresholdRule.F1_SHARED
    ood_score: bool = True
    model_folder: str = ""
    leftovers: tuple[Path, ...] = ()


def complete_run(run: TrainingRun, progress: Progress = no_progress) -> TrainingRecord:
    """Do what is left of a run, and return its record.

    The model's folder then holds weights and configuration with temperature and thresholds, the
    image processor, ``label_set.json``, the `TrainingDomain`, the record, a model card, and
    ``metrics.json`` of the test cases where there are any. Temperature and thresholds are chosen on
    validation cases; test cases are looked at once, at the end. A finished run is left as it is,
    unless files of it are gone.

    Every process of a training calls this; the first one writes, and its record has the metrics.

    Raises:
        RunFolderError: If the folder holds another run, or its record or best checkpoint is
            damaged.
        RunInProgressError: If another run is at work there.
        StorageError: If the disk does not take a checkpoint or the model; earlier ones stay.
        TrainingDivergedError: If the loss is no longer a number.
    """
    with run.folder.claim(run.identity), named_storage_failure(run.folder.output):
        wait_for_processes()
        if (finished := _finished_record(run)) is not None:
            return finished
        warnings = find_data_failures(run.data, is_from_scratch=run.origin.base_model is None)
        for warning in warnings:
            logger.warning("%s", warning)
        fitted = run.fit(progress)
        logits = fitted.predict(Split.VALIDATION) if Split.VALIDATION in run.data else None
        if logits is not None:
            warnings += find_model_failures(
                run.data,
                logits,
                method=run.origin.method,
                exclusive=fitted.model.config.has_exclusive_labels,
            )
        notes = _choose_decisions(fitted, run, logits)
        metrics = _evaluate(fitted, run.data)
        domain, score = learn_domain(fitted, run.data, with_score=run.ood_score)
        domain = replace(domain, warnings=tuple(warnings))
        record = replace(
            _record(run, fitted, metrics, notes, warnings),
            training_kinds=tuple(domain.kinds.to_list()),
            ood_score=score,
        )
        _save(run, fitted, record, domain)
        return record


def _finished_record(run: TrainingRun) -> TrainingRecord | None:
    """Return the record of a finished run; None if it is not, or not all of its model is there."""
    folder = run.folder.output / run.model_folder
    path = folder / run.record_file
    if not path.is_file():
        return None
    try:
        record = TrainingRecord.from_json(path.read_text("utf-8"))
    except FileFormatError as error:
        raise RunFolderError(f"{path}: {error}") from None
    except ValueError as error:
        raise RunFolderError(
            f"{path}: is damaged ({error}): remove it, and the run is made again"
        ) from None
    has_weights = any(folder.glob("model*.safetensors")) or (folder / ADAPTER_WEIGHTS).is_file()
    gone = [] if has_weights else ["model.safetensors"]
    expected = [*MODEL_FILES, *([] if record.metrics is None else [METRICS_FILE])]
    expected += [KINDS_FILE] if record.training_kinds else []  # earlier versions had none
    expected += [] if record.ood_score is None else [EMBEDDINGS_FILE]
    gone += [name for name in expected if not (folder / name).is_file()]
    if gone:
        logger.warning("%s: %s is gone, so the run is made again", folder, gone[0])
        return None
    return record


def _choose_decisions(
    fitted: FittedModel, run: TrainingRun, logits: NDArray[np.floating] | None
) -> list[str]:
    """Choose temperature and thresholds on validation; return what there is to say of it."""
    if logits is None:
        is_exclusive = fitted.model.config.has_exclusive_labels
        left_out = "temperature was" if is_exclusive else "thresholds were"
        return [f"no {left_out} chosen: there are no validation cases"]
    try:
        rule = choose_decision_rule(
            run.data[Split.VALIDATION].labels,
            logits,
            threshold_rule=run.threshold_rule,
            least_gain=USEFUL_GAIN,
            exclusive=fitted.model.config.has_exclusive_labels,
        )
    except InputError as error:  # too few cases for a temperature, too
        return [str(error)]
    for field, value in rule.config_fields().items():
        setattr(fitted.model.config, field, value)
    return []


def _evaluate(fitted: FittedModel, data: CaseSplits) -> dict[str, Any] | None:
    """Return the metrics of the test cases; None in all processes but the first."""
    if Split.TEST not in data:
        return None
    logits = fitted.predict(Split.TEST)
    if not is_first_process():
        return None
    test = data[Split.TEST]
    result, _ = evaluate_by_rule(
        test.labels,
        logits,
        DecisionRule.of_model(fitted.model.config),
        class_names=data.label_set.names,
        label_counts=data.label_set.train_counts,
        bootstrap=BootstrapSettings(patient_ids=test.patient_ids),
        bands=BandRule(),
    )
    return result.to_dict()


def _record(
    run: TrainingRun,
    fitted: FittedModel,
    metrics: dict[str, Any] | None,
    notes: list[str],
    warnings: list[str],
) -> TrainingRecord:
    if Split.TEST not in run.data:
        notes.append("not evaluated: the data set has no test split")
    if unlabelled := run.data.num_unlabelled:
        verb = "was" if unlabelled == 1 else "were"
        notes.append(f"{count(unlabelled, 'case')} {verb} left out, of which no label is known")
    if partly := run.data.num_partly_labelled:
        notes.append(
            f"of {count(partly, 'case')} some labels are unknown: a label is learnt and measured "
            "on the cases where it is known"
        )
    config = fitted.model.config
    return TrainingRecord(
        **vars(run.origin) | ({} if fitted.fusion is None else {"fusion": fitted.fusion}),
        label_names=run.data.label_set.names,
        data=run.data.describe(),
        selection=fitted.selection,
        is_exclusive=config.has_exclusive_labels,
        threshold_source=config.decision_threshold_source,
        calibration_temperature=config.calibration_temperature,
        metrics=metrics,
        warnings=tuple(warnings),
        notes=tuple(notes),
        created_at=datetime.now(UTC).date().isoformat(),
        hardware=describe_hardware(run.device),
        versions=package_versions(),
    )


def _save(
    run: TrainingRun, fitted: FittedModel, record: TrainingRecord, domain: TrainingDomain
) -> None:
    """Write everything aside, move it into place, the record last, and drop what is left over."""
    with run.folder.results(last=run.model_folder or run.record_file) as staging:
        wait_for_processes()
        target = staging / run.model_folder
        try:
            fitted.save(target)
        except (OSError, SafetensorError) as error:
            raise failed_write(
                run.folder.output / run.model_folder, run.folder.work, error
            ) from error
        wait_for_processes()
        if is_first_process():
            run.processor.save_pretrained(target)
            run.data.label_set.save(target / LABEL_SET_FILE)
            domain.save(target)
            if record.metrics is not None:
                write_json({"format": FILE_FORMAT, **record.metrics}, target / METRICS_FILE)
            write_model_card(target, record)
            (target / run.record_file).write_text(record.to_json(), "utf-8")
    if is_first_process():
        for path in run.leftovers:
            shutil.rmtree(path, ignore_errors=True)
    wait_for_processes()
