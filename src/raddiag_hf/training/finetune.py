"""Adapt a trained model to another data set: a hospital's few hundred cases, for one."""

import json
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from raddiag_hf.checkpoints.label_text_check import check_label_texts
from raddiag_hf.checkpoints.loading import (
    ADAPTER_BASE,
    ADAPTER_WEIGHTS,
    BASE_DIGEST_KEY,
    LoadedModel,
    choose_device,
    read_model,
)
from raddiag_hf.checkpoints.model_fingerprint import model_fingerprint
from raddiag_hf.core.atomic_files import atomic_write, named_storage_failure
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import weights_fingerprint
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.labels.bands import band_columns
from raddiag_hf.metrics import (
    BootstrapSettings,
    EvaluationResult,
    evaluate_predictions,
)
from raddiag_hf.metrics.decision_rule import choose_decision_rule
from raddiag_hf.training.finetune_data import FinetuneData, open_finetune_data
from raddiag_hf.training.finetune_methods import (
    CHECKPOINT_FOLDER,
    AdaptedModel,
    fit_probe,
    train_weights,
)
from raddiag_hf.training.finetune_record import (
    FinetuneRecord,
    describe_hardware,
    package_versions,
)
from raddiag_hf.training.finetune_settings import FinetuneError, FinetuneSettings, Method
from raddiag_hf.training.methods.features import Progress
from raddiag_hf.training.model_adaptation import Adaptation, adapt_model, plan_adaptation
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

RECORD_FILE, METRICS_FILE, LABEL_SET_FILE = "finetuning.json", "metrics.json", "label_set.json"
WORK_FOLDER, PLAN_FILE = ".work", "plan.json"
"""What an unfinished run needs to go on: features, checkpoints, and which run it is."""
USEFUL_GAIN = 0.01
"""Share of the validation cross-entropy that a temperature has to save to be kept."""


def finetune(
    model_id: str,
    dataset: Path | str,
    output: Path | str,
    settings: FinetuneSettings,
    *,
    revision: str | None = None,
    token: str | None = None,
    text_encoder: str | None = None,
    report_progress: Progress = lambda what, done, total: None,
) -> FinetuneRecord:
    """Adapt a model to a stored data set, choose thresholds, evaluate, and save the result.

    ``output`` then holds a model that `load_model` and ``from_pretrained`` read (adapters alone for
    LoRA, beside the configuration of the adapted model), its image processor, ``label_set.json``,
    ``metrics.json`` of the test cases where there are any, and the record, ``finetuning.json``.
    Everything is chosen on validation cases; test cases are looked at once, at the end.

    An interrupted run goes on when this is called again with equal arguments; a finished one is
    left as it is, unless files of it are gone, which are made again.

    Args:
        model_id: A folder or Hub id of a RadDiag model; see `load_model`.
        dataset: What ``raddiag dataset build`` or ``import`` wrote.
        output: Folder to make.
        settings: How to adapt.
        revision: Branch, tag or commit of the model on the Hub.
        token: Access token; the one that is signed in by default.
        text_encoder: Folder or Hub id of the text encoder that a knowledge head was trained with;
            needed for label names that the model does not know.
        report_progress: Called with what is done, how much of it, and how much there is.

    Raises:
        FinetuneError: If model, data set and settings do not fit, ``output`` holds another run, or
            it cannot be written.
        RunInProgressError: If another run is at work in ``output``.
        ModelSourceError: If the model cannot be had.
        DeviceError: If there is no such device.
        TextEncoderError, LabelTextError: If the label names cannot be read with ``text_encoder``.
        LabelTextsMissingError: If a knowledge head that stays never had label texts.
        TrainingDivergedError: If the loss is no longer a number.
    """
    device = choose_device(settings.device)
    data = open_finetune_data(dataset, settings)
    loaded = read_model(model_id, revision=revision, token=token)
    is_lora = settings.method is Method.LORA
    if loaded.has_adapters and is_lora:
        raise FinetuneError(
            f"{model_id}: holds adapters, and adapters to adapters cannot be loaded: adapt the "
            "model that they belong to, or choose another method"
        )
    _check_modalities(data, loaded)
    base_digest = (
        weights_fingerprint(loaded.model.state_dict()) if is_lora else None
    )  # with its own label names
    adaptation = plan_adaptation(loaded.model.config, data.label_set, data.is_single_scan, settings)
    if adaptation.classifier_type == "knowledge":
        _read_label_names(loaded, data, text_encoder, token)
    elif text_encoder is not None:
        raise FinetuneError(
            f"a text encoder was given, but the head would be {adaptation.head}, which reads no "
            "label names: ask for head knowledge, or give none"
        )
    output = Path(output)
    work = output / WORK_FOLDER
    _refuse_foreign(output)
    with RunFolder(output, work=work).lock(), named_storage_failure(output):
        finished = _claim(output, _plan(loaded, data, settings))
        if finished is not None:
            return finished
        return _run(
            loaded, data, settings, adaptation, output, device, base_digest, report_progress
        )


def _run(
    loaded: LoadedModel,
    data: FinetuneData,
    settings: FinetuneSettings,
    adaptation: Adaptation,
    output: Path,
    device: torch.device,
    base_digest: str | None,
    report_progress: Progress,
) -> FinetuneRecord:
    """Adapt, decide, evaluate and save; ``output`` is this run's."""
    work = output / WORK_FOLDER
    model = adapt_model(
        loaded.model, adaptation, data.label_set, len(data.rows[Split.TRAIN]), settings
    )
    adapt = fit_probe if settings.method is Method.LINEAR_PROBE else train_weights
    adapted = adapt(model, data, loaded, settings, work, device, report_progress)
    notes = _choose_decisions(adapted, data)
    adapted.model.config.encoder_chunk_size = loaded.model.config.encoder_chunk_size
    result = _evaluate(adapted, data)
    record = _record(loaded, data, settings, adaptation, adapted, result, device, notes)
    _save(output, adapted, loaded, data, record, base_digest)
    return record


def _check_modalities(data: FinetuneData, loaded: LoadedModel) -> None:
    known = {str(modality) for modality in loaded.processor.modality_slots}
    if unknown := sorted(set(data.describe()["scans_by_modality"]) - known):
        raise FinetuneError(
            f"{data.store.location}: has scans of {unknown[0]}, but the model has a slot only for "
            f"{', '.join(sorted(known))}"
        )


def _read_label_names(
    base: LoadedModel, data: FinetuneData, text_encoder: str | None, token: str | None
) -> None:
    """Let the knowledge head of ``base`` read the names of the labels to learn."""
    encoder: Any = None
    if text_encoder is not None:
        from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder

        encoder = TextEncoder.from_pretrained(text_encoder, token=token)
    else:
        check_label_texts(base.model, base.model_id)
    base.model.set_label_texts(data.label_set.names, encoder, for_training=True)


def _plan(loaded: LoadedModel, data: FinetuneData, settings: FinetuneSettings) -> dict[str, Any]:
    """Return what must be equal for a run to continue another."""
    return {
        "model": model_fingerprint(loaded),
        "data": data.fingerprint(),
        "method": str(settings.method),
        **settings.hyperparameters(),
    }


def _refuse_foreign(output: Path) -> None:
    """Refuse a folder that no run made, before anything is written to it."""
    is_ours = (output / WORK_FOLDER / PLAN_FILE).is_file()
    if not is_ours and output.is_dir() and any(p.name != WORK_FOLDER for p in output.iterdir()):
        raise FinetuneError(f"{output}: is not empty and holds no run to go on with")


def _claim(output: Path, plan: dict[str, Any]) -> FinetuneRecord | None:
    """Make the output folder this run's; return the record if the run is finished.

    Raises:
        FinetuneError: If the folder holds another run, or what tells of it is damaged.
    """
    path = output / WORK_FOLDER / PLAN_FILE
    if path.is_file():
        try:
            earlier = dict(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError) as error:
            raise FinetuneError(
                f"{path}: is damaged ({error}): remove {output} and run again"
            ) from None
        names = {**earlier, **plan}
        if differing := sorted(name for name in names if earlier.get(name) != plan.get(name)):
            raise FinetuneError(
                f"{output}: holds a run that differs in {', '.join(differing)}; name another "
                "output, or remove it"
            )
        return _finished(output, is_lora=plan["method"] == Method.LORA)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(plan, indent=1) + "\n", "utf-8")
    return None


def _finished(output: Path, is_lora: bool) -> FinetuneRecord | None:
    """Return the record of a finished run; None if it is not, or not all of its model is there."""
    path = output / RECORD_FILE
    if not path.is_file():
        return None
    try:
        record = FinetuneRecord.from_json(path.read_text("utf-8"))
    except ValueError as error:
        raise FinetuneError(
            f"{path}: is damaged ({error}): remove it, and the run is made again"
        ) from None
    weights = ADAPTER_WEIGHTS if is_lora else "model*.safetensors"
    expected = (weights, "config.json", "preprocessor_config.json", LABEL_SET_FILE)
    if gone := [pattern for pattern in expected if not any(output.glob(pattern))]:
        logger.warning("%s: %s is gone, so the run is made again", output, gone[0])
        path.unlink()
        return None
    return record


def _choose_decisions(adapted: AdaptedModel, data: FinetuneData) -> list[str]:
    """Choose temperature and thresholds on validation; return what there is to say of it."""
    labels, logits = data.labels(Split.VALIDATION), adapted.logits[Split.VALIDATION]
    try:
        rule = choose_decision_rule(labels, logits, least_gain=USEFUL_GAIN)
    except InputError as error:  # too few cases for a temperature, too
        return [str(error)]
    for field, value in rule.config_fields().items():
        setattr(adapted.model.config, field, value)
    return []


def _evaluate(adapted: AdaptedModel, data: FinetuneData) -> EvaluationResult | None:
    if Split.TEST not in adapted.logits:
        return None
    config = adapted.model.config
    return evaluate_predictions(
        data.labels(Split.TEST),
        adapted.logits[Split.TEST] / config.calibration_temperature,
        thresholds=config.decision_thresholds,
        groups=band_columns(data.label_set.train_counts),
        class_names=data.label_set.names,
        bootstrap=BootstrapSettings(patient_ids=data.patient_ids(Split.TEST)),
    )


def _record(
    loaded: LoadedModel,
    data: FinetuneData,
    settings: FinetuneSettings,
    adaptation: Adaptation,
    adapted: AdaptedModel,
    result: EvaluationResult | None,
    device: torch.device,
    notes: list[str],
) -> FinetuneRecord:
    if result is None:
        notes.append("not evaluated: the data set has no test split")
    if unseen := data.label_set.train_counts.count(0):
        notes.append(f"{unseen} labels have no training case; their predictions mean nothing")
    path = Path(loaded.model_id).expanduser()
    return FinetuneRecord(
        base_model=path.resolve().name if path.is_dir() else loaded.model_id,
        base_revision=loaded.revision,
        method=str(settings.method),
        head=adaptation.head,
        fusion=adaptation.fusion,
        label_names=data.label_set.names,
        data=data.describe(),
        hyperparameters=settings.hyperparameters(),
        selection=adapted.selection,
        threshold_source=adapted.model.config.decision_threshold_source,
        calibration_temperature=adapted.model.config.calibration_temperature,
        metrics=None if result is None else result.to_dict(),
        notes=tuple(notes),
        created_at=datetime.now(UTC).date().isoformat(),
        hardware=describe_hardware(device),
        versions=package_versions(),
    )


def _save(
    output: Path,
    adapted: AdaptedModel,
    loaded: LoadedModel,
    data: FinetuneData,
    record: FinetuneRecord,
    base_digest: str | None,
) -> None:
    """Write everything aside, move it into place, the record last, and drop the checkpoints."""
    work = output / WORK_FOLDER
    staging = work / "result"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    adapted.save(staging)
    loaded.processor.save_pretrained(staging)
    data.label_set.save(staging / LABEL_SET_FILE)
    if base_digest is not None:
        text = json.dumps({BASE_DIGEST_KEY: base_digest}) + "\n"
        (staging / ADAPTER_BASE).write_text(text, "utf-8")
    if record.metrics is not None:
        text = json.dumps(record.metrics, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        (staging / METRICS_FILE).write_text(text, "utf-8")
    for path in sorted(staging.iterdir()):
        path.replace(output / path.name)
    with atomic_write(output / RECORD_FILE) as temporary:
        temporary.write_text(record.to_json(), "utf-8")
    staging.rmdir()
    shutil.rmtree(work / CHECKPOINT_FOLDER, ignore_errors=True)
