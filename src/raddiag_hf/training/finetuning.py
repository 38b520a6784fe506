"""Adapt a trained model to another data set: a hospital's few hundred cases, for one."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from raddiag_hf.checkpoints.loaded_model import (
    LoadedModel,
    check_label_texts,
    choose_device,
    model_fingerprint,
)
from raddiag_hf.core.fingerprint import weights_fingerprint
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolder
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.data.opening import SourceOptions, open_cases
from raddiag_hf.imaging.augmentation import ScanAugmentation
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.model.configuration_raddiag import SLICE_ENCODER_TYPES
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.choices import tell_choices
from raddiag_hf.training.driver import TrainingRun, complete_run
from raddiag_hf.training.finetune_defaults import choose_settings
from raddiag_hf.training.finetune_settings import (
    Augmentation,
    ChosenSettings,
    FinetuneError,
    FinetuneSettings,
    Fusion,
    Method,
    Start,
    check_start,
    start_kind,
)
from raddiag_hf.training.methods.adapters import attach_adapters, save_adapters
from raddiag_hf.training.methods.attentive_probe import fit_attentive_probe
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.training.methods.linear_probe import fit_probe
from raddiag_hf.training.methods.weights import fit_weights, parameter_groups
from raddiag_hf.training.model_adaptation import Adaptation, adapt_model, plan_adaptation
from raddiag_hf.training.record import TrainingOrigin, TrainingRecord, public_name
from raddiag_hf.training.starts import open_start
from raddiag_hf.vocabulary import Split

RECORD_FILE = "finetuning.json"
WORK_FOLDER, CHECKPOINT_FOLDER = ".work", "checkpoints"
"""What an unfinished run needs to resume: features, checkpoints, and which run it is."""
WARMUP_SHARE = 0.1
EVALUATION_BATCH_CASES = 4
MOST_EVALUATIONS = 10
KEPT_BYTES = 2 * 2**30
"""Memory that packed cases may take; data sets that need more are decoded in every epoch."""
SLICE_SHARE = 0.25
LIGHT_AUGMENTATION = ScanAugmentation(
    noise_probability=0,
    contrast_probability=0,
    affine_probability=1,
    elastic_probability=0,
    flip_probability=0.5,
    padding="reflection",
    rotation_degrees=15,
    translation=0.125,
    scaling=0.15,
    shear=0,
)
"""What changes neither diagnosis nor intensities, for data sets too small to show it."""


def finetune(
    model_id: str | None,
    dataset: Path | str,
    output: Path | str,
    settings: FinetuneSettings | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    text_encoder: str | None = None,
    source: SourceOptions | None = None,
    progress: Progress = no_progress,
) -> TrainingRecord:
    """Adapt a model to a data set, choose thresholds, evaluate, and save the result.

    ``output`` then holds a model that `load_model` and ``from_pretrained`` read, and what else
    `complete_run` writes. LoRA of a RadDiag model saves adapters alone, beside the configuration of
    the adapted model: they need the model that they were trained on, and PEFT. `load_model` and
    ``raddiag`` load and merge them, PEFT's ``PeftModel`` does onto that model with the adapted
    configuration, as the card shows; ``AutoModelForImageClassification`` alone does not. Adapters
    of a backbone are merged before they are saved, so that every class loads the result.
    Everything is chosen on validation cases, which are set aside by patient where the data set has
    none.

    An interrupted run resumes when this is called again with equal arguments; a finished one is
    left as it is, unless files of it are gone, which are made again.

    Args:
        model_id: What to start from: a folder or Hub id of a RadDiag model, ``backbone:`` and the
            folder or Hub id of a vision backbone, or None for random weights; see `open_start`.
        dataset: A folder, such as ``raddiag dataset build`` or ``import`` wrote, the name of a
            builder, or a data set on the Hub; see `open_cases`.
        output: Folder to make.
        settings: How to adapt; what they leave open is chosen by start and data, and
            ``record.choices`` says why.
        revision: Branch, tag or commit of the model on the Hub.
        token: Access token; the one that is signed in by default.
        text_encoder: Folder or Hub id of the text encoder that a knowledge head was trained with;
            needed for label names that the model does not know.
        source: How to read ``dataset``: configuration, downloaded files and options of a builder.
        progress: Called with what is done, how much of it, and how much there is.

    Raises:
        FinetuneError: If model, data set and settings do not fit.
        CaseDataError: If the data set cannot be used.
        ModelSourceError: If the model is not available.
        DeviceError: If there is no such device.
        TextEncoderError, LabelTextError: If the label names cannot be read with ``text_encoder``.
        LabelTextsMissingError: If a knowledge head that stays never had label texts.
        RunFolderError, StorageError, TrainingDivergedError: As `complete_run`.
    """
    asked = settings or FinetuneSettings()
    device = choose_device(asked.device)
    check_start(model_id)
    access: SourceOptions = {"token": token, **(source or {})}
    data = open_cases(dataset, label_column=asked.label_column, **access).for_training(
        asked.validation_fraction, asked.seed
    )
    start = start_kind(model_id)
    settings = choose_settings(asked, start, data)
    loaded = open_start(model_id, data, settings, revision=revision, token=token)
    saves_adapters = settings.method is Method.LORA and start is Start.MODEL
    base_digest = (
        weights_fingerprint(loaded.model.state_dict()) if saves_adapters else None
    )  # with its own label names
    adaptation = _plan(loaded, data, settings, text_encoder, token)
    base = model_fingerprint(loaded)
    work = Path(output) / WORK_FOLDER
    run = TrainingRun(
        folder=RunFolder(Path(output), work=work),
        identity={
            "model": base,
            "data": data.fingerprint,
            "method": str(settings.method),
            **settings.hyperparameters(),
        },
        data=data,
        processor=loaded.processor,
        origin=TrainingOrigin(
            base_model=None if start is Start.SCRATCH else public_name(loaded.model_id),
            base_revision=loaded.revision,
            method=str(settings.method),
            head=adaptation.head if start is Start.MODEL else _new_head(adaptation),
            fusion=adaptation.fusion,
            hyperparameters=settings.hyperparameters(),
            is_adapter=saves_adapters,
            choices=tell_choices(
                asked,
                settings,
                start,
                data,
                loaded.model.config,
                adaptation,
                is_start_named=model_id is not None,
            ),
        ),
        fit=partial(_fit, loaded, adaptation, data, settings, work, device, base, base_digest),
        device=device,
        threshold_rule=settings.threshold_rule,
        ood_score=settings.ood_score,
        record_file=RECORD_FILE,
        leftovers=(work / CHECKPOINT_FOLDER,),
    )
    return complete_run(run, progress)


def _new_head(adaptation: Adaptation) -> str:
    """Return where the classifier of a start without one comes from, in words."""
    if not adaptation.kept_head:
        return adaptation.head
    return "one linear layer, from scratch, at the labels' frequencies"


def _plan(
    loaded: LoadedModel,
    data: CaseSplits,
    settings: ChosenSettings,
    text_encoder: str | None,
    token: str | None,
) -> Adaptation:
    """Decide what of the model stays, and refuse what does not fit before anything is computed."""
    config, method = loaded.model.config, settings.method
    if loaded.has_adapters and method is Method.LORA:
        raise FinetuneError(
            f"{loaded.model_id}: holds adapters, and adapters to adapters cannot be loaded: adapt "
            "the model that they belong to, or choose another method"
        )
    if method is Method.ATTENTIVE_PROBE and config.encoder_type not in SLICE_ENCODER_TYPES:
        raise FinetuneError(
            f"method is attentive-probe, but the encoder of {loaded.model_id} is "
            f"{config.encoder_type}, which has no features of single slices; choose another method"
        )
    _check_modalities(data, loaded)
    adaptation = plan_adaptation(
        config, data.label_set, data.is_single_scan, settings, is_exclusive=data.is_exclusive
    )
    if adaptation.classifier_type == "knowledge":
        _read_label_names(loaded, data, text_encoder, token)
    elif text_encoder is not None:
        raise FinetuneError(
            f"a text encoder was given, but the head would be {adaptation.head}, which reads no "
            "label names: ask for head knowledge, or give none"
        )
    return adaptation


def _fit(
    loaded: LoadedModel,
    adaptation: Adaptation,
    data: CaseSplits,
    settings: ChosenSettings,
    work: Path,
    device: torch.device,
    base: str,
    base_digest: str | None,
    progress: Progress,
) -> FittedModel:
    """Fit by the method that was chosen."""
    train = data[Split.TRAIN]
    model = adapt_model(
        loaded.model,
        adaptation,
        data.label_set,
        len(train),
        settings,
        train.known_counts if train.has_unknown else None,
    )
    shared: Any = {
        "penalties": settings.penalties,
        "device": device,
        "num_workers": settings.num_workers,
        "chunk_size": settings.chunk_size,
    }
    if settings.method is Method.LINEAR_PROBE:
        return fit_probe(model, data, loaded.processor, progress, work=work, base=base, **shared)
    if settings.method is Method.ATTENTIVE_PROBE:
        kept = settings.features or work
        return fit_attentive_probe(
            model,
            data,
            loaded.processor,
            progress,
            work=kept,
            seed=settings.seed,
            keeps_fusion=settings.fusion is Fusion.KEEP,
            **shared,
        )
    checkpoints = work / CHECKPOINT_FOLDER
    return _fit_by_gradient(model, loaded, data, settings, checkpoints, base_digest, progress)


def _check_modalities(data: CaseSplits, loaded: LoadedModel) -> None:
    known = {str(modality) for modality in loaded.processor.modality_slots}
    if unknown := sorted(set(data.describe()["scans_by_modality"]) - known):
        raise FinetuneError(
            f"{data.location}: has scans of {unknown[0]}, but the model has a slot only for "
            f"{', '.join(sorted(known))}"
        )


def _read_label_names(
    base: LoadedModel, data: CaseSplits, text_encoder: str | None, token: str | None
) -> None:
    """Let the knowledge head of ``base`` read the labels to learn."""
    encoder = None
    if text_encoder is not None:
        encoder = TextEncoder.from_pretrained(text_encoder, token=token)
    else:
        check_label_texts(base.model, base.model_id)
    texts = None if encoder is None else LabelEmbeddings.embed(data.label_set, encoder)
    base.model.set_label_texts(data.label_set.names, texts, for_training=True)


def _fit_by_gradient(
    model: RadDiagForImageClassification,
    base: LoadedModel,
    data: CaseSplits,
    settings: ChosenSettings,
    checkpoints: Path,
    base_digest: str | None,
    progress: Progress,
) -> FittedModel:
    """Train adapters or all weights until the validation loss no longer falls."""
    is_lora = settings.method is Method.LORA
    model.config.encoder_chunk_size = settings.chunk_size
    trained: Any = attach_adapters(model, settings.lora_rank) if is_lora else model
    groups = parameter_groups(
        model,
        learning_rate=settings.learning_rate,
        layer_decay=1.0 if is_lora else settings.layer_decay,
        weight_decay=settings.weight_decay,
    )
    fitted = fit_weights(
        trained,
        _training_arguments(settings, checkpoints, len(data[Split.TRAIN])),
        data,
        base.processor,
        progress,
        augmentation=_augmentation(settings),
        optimizer=torch.optim.AdamW(groups, lr=settings.learning_rate),
        patience=_patience(settings),
        in_memory=_fit_in_memory(data, base.processor),
    )

    def save(folder: Path) -> None:
        model.config.encoder_chunk_size = base.model.config.encoder_chunk_size
        if base_digest is not None:
            address = Path(base.model_id).expanduser()
            place = str(address.resolve()) if address.is_dir() else base.model_id
            save_adapters(trained, folder, place, base.revision, base_digest)
        elif is_lora:  # a backbone is no model that adapters could name
            trained.merge_and_unload().save_pretrained(folder)
        else:
            fitted.save(folder)

    return replace(fitted, save=save)


def _augmentation(settings: ChosenSettings) -> CaseAugmentation | None:
    if settings.augmentation is Augmentation.NONE:
        return None
    scan_augmentation = LIGHT_AUGMENTATION
    if settings.augmentation is Augmentation.SIDED:
        scan_augmentation = replace(scan_augmentation, flip_probability=0)
    return CaseAugmentation(
        scan_augmentation=scan_augmentation,
        key_slice_probability=0,
        mixing_probability=0,
        scan_drop_probability=0,
        slice_share=SLICE_SHARE,
        shuffle_scans=False,
    )


def _fit_in_memory(data: CaseSplits, processor: RadDiagImageProcessor) -> bool:
    """Whether all cases together, as the network reads them, are small enough to be kept."""
    slices = sum(int(one.slice_counts(processor.max_slices).sum()) for one in data.values())
    pixels = slices * processor.num_channels * processor.image_size**2
    return pixels * torch.float32.itemsize <= KEPT_BYTES


def _patience(settings: ChosenSettings) -> int | None:
    """Return the evaluations to wait for a better one."""
    if settings.patience is None:
        return None
    return -(-settings.patience // _epochs_between_evaluations(settings))


def _epochs_between_evaluations(settings: ChosenSettings) -> int:
    """Few cases take many short epochs; each evaluation writes a checkpoint."""
    return -(-settings.num_epochs // MOST_EVALUATIONS)


def _training_arguments(
    settings: ChosenSettings, folder: Path, num_cases: int
) -> TrainingArguments:
    uses_cpu = settings.device == "cpu" or not torch.cuda.is_available()
    steps = -(-num_cases // settings.batch_size)
    interval = steps * _epochs_between_evaluations(settings)
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=uses_cpu,
        bf16=not uses_cpu and torch.cuda.is_bf16_supported(),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH_CASES,
        num_train_epochs=settings.num_epochs,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP_SHARE,
        eval_strategy="steps",
        eval_steps=interval,
        save_strategy="steps",
        save_steps=interval,
        save_total_limit=1,
        logging_strategy="steps",
        logging_steps=interval,
        load_best_model_at_end=settings.patience is not None,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
        dataloader_num_workers=settings.num_workers,
        dataloader_pin_memory=not uses_cpu,
    )
