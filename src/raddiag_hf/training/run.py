"""Run a recipe: start or go on, train, choose thresholds, and leave a model that can be loaded."""

import logging
import os
import shutil
from pathlib import Path

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from transformers import EvalPrediction, TrainerState, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from raddiag_hf.core.checkpoint_folders import (
    MARK,
    CheckpointKeeper,
    find_damage,
    last_complete_checkpoint,
    list_checkpoints,
)
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.metrics import choose_f1_thresholds, evaluate_predictions
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.preparation import (
    TrainingData,
    build_augmentation,
    build_model,
    load_training_data,
    training_arguments,
)
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.recipe_label_texts import read_text_encoder
from raddiag_hf.training.run_claim import claim_output, sole_run
from raddiag_hf.training.trainer import RadDiagTrainer, TrainingDivergedError

logger = logging.getLogger(__name__)

MODEL_FOLDER = "model"


class CheckpointWriteError(OSError):
    """A checkpoint that could not be written: which, why, and which one is the last good one."""


def train_recipe(recipe: Recipe) -> Path:
    """Train after a recipe and return the folder of the trained model.

    Everything goes to ``recipe.output``: checkpoints, TensorBoard logs in ``runs``, and at the end
    the model with its image processor in ``model``. A run that was interrupted, even killed, goes
    on from its last complete checkpoint when this is called again with the same recipe, and ends
    with the same weights, on one CPU to the last bit. A finished run is left as it is.

    The best checkpoint by macro AUC on the validation cases becomes the model, with thresholds
    chosen on them; without a validation split, the last.

    Raises:
        RecipeError: If the recipe cannot be followed, or ``output`` holds the run of another, or
            one whose best checkpoint or model is damaged.
        TextEncoderError: If ``model.text_encoder`` cannot be had.
        RunInProgressError: If another run is at work in ``output``.
        TrainingDivergedError: If the loss is no longer a number; checkpoints stay.
        CheckpointWriteError: If the disk does not take a checkpoint or the model; earlier
            checkpoints stay.
        OSError, DataSourceError, ModelSourceError, LabelMismatchError: If the data, or a checkpoint
            to start from, cannot be had, or do not belong together.
    """
    args = training_arguments(recipe)
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != args.world_size:
        raise RecipeError(
            f"{started} processes were started, but {args.world_size} would train together; set "
            "training.use_cpu=true where there are not as many GPUs"
        )
    output = Path(recipe.output)
    data, label_texts = _read_data(recipe)
    set_seed(args.seed)  # draws the weights of a new network
    model, processor = build_model(recipe, data, label_texts)  # refused before anything is written
    with sole_run(output):
        if PartialState().is_main_process:
            text_encoder = None if label_texts is None else label_texts.fingerprint
            claim_output(output, recipe, args, data, text_encoder)
        return _train_alone(recipe, args, data, model, processor)


def _read_data(recipe: Recipe) -> tuple[TrainingData, LabelEmbeddings | None]:
    """Return the cases of a recipe, and their label names as its text encoder embeds them."""
    encoder = read_text_encoder(recipe.model)  # to be refused before cases are prepared for hours
    with PartialState().main_process_first():
        data = load_training_data(recipe.data)
    return data, None if encoder is None else LabelEmbeddings.embed(data.label_set, encoder)


def _train_alone(
    recipe: Recipe,
    args: TrainingArguments,
    data: TrainingData,
    model: RadDiagForImageClassification,
    processor: RadDiagImageProcessor,
) -> Path:
    output = Path(recipe.output)
    PartialState().wait_for_everyone()
    if (output / MODEL_FOLDER).is_dir():
        return _finished_model(output / MODEL_FOLDER)
    checkpoint, best = _checkpoints_to_go_on_from(output, args.load_best_model_at_end)

    if args.ddp_find_unused_parameters is None:
        # Only separate stems for 2D and 3D scans can both be in a network and one not in a batch.
        args.ddp_find_unused_parameters = model.config.encoder_type != "resnet_vit"
    keep, args.save_total_limit = args.save_total_limit, None
    trainer = RadDiagTrainer(
        model=model,
        args=args,
        train_dataset=data.pack(data.train, processor, build_augmentation(recipe), args.seed),
        eval_dataset=None if data.validation is None else data.pack(data.validation, processor),
        processing_class=processor,
        compute_metrics=macro_metrics,
        train_slice_counts=data.slice_counts(processor.max_slices),
        train_repeat_factors=data.repeat_factors,
        callbacks=[CheckpointKeeper(keep, best)],
    )
    _train(trainer, checkpoint, best)
    if data.validation is not None:
        _choose_thresholds(trainer)
    return _save_model(trainer, output)


def macro_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Return mean AUC and AP over the labels that can be evaluated on the validation cases.

    Raises:
        TrainingDivergedError: If a logit is not finite.
    """
    logits = prediction.predictions
    if isinstance(logits, tuple):
        logits = logits[0]
    logits = np.asarray(logits, np.float32)
    if not np.isfinite(logits).all():
        raise TrainingDivergedError(
            "the logits of validation cases are not finite: lower training.learning_rate, or look "
            "for cases with broken pixels"
        )
    values = evaluate_predictions(prediction.label_ids, logits)
    mean = values.groups["all"]
    return {
        "auc": float(mean.values["auc"]),
        "ap": float(mean.values["ap"]),
        "evaluated_labels": mean.evaluated,
    }


def _checkpoints_to_go_on_from(output: Path, needs_best: bool) -> tuple[Path | None, Path | None]:
    """Return the last checkpoint and the best one up to it, the same in all processes."""
    found: list[Path | None] = [None, None]
    if PartialState().is_main_process and (last := last_complete_checkpoint(output)) is not None:
        found = [last, _best_checkpoint(last) if needs_best else None]
    broadcast_object_list(found)
    return found[0], found[1]


def _best_checkpoint(last: Path) -> Path | None:
    """Return the best checkpoint up to another, wherever the run lay when it was written.

    Raises:
        RecipeError: If it is no longer what was written.
    """
    state = TrainerState.load_from_json(str(last / TRAINER_STATE_NAME))
    if state.best_model_checkpoint is None:
        return None
    best = last.parent / Path(state.best_model_checkpoint).name
    if find_damage(best) is not None:
        raise RecipeError(
            f"{best}: is the best checkpoint so far and is gone or damaged, so the run cannot end "
            f"with its weights; restore it, or remove {last.parent} to train anew"
        )
    return best


def _train(trainer: RadDiagTrainer, checkpoint: Path | None, best: Path | None) -> None:
    output = Path(trainer.args.output_dir)
    try:
        if checkpoint is not None and _has_ended(checkpoint):
            final = type(trainer.model).from_pretrained(best or checkpoint)
            trainer.model.load_state_dict(final.state_dict())
            return
        if checkpoint is not None:
            logger.info("going on from %s", checkpoint)
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except (OSError, RuntimeError, SafetensorError) as error:
        unfinished = [one for one in list_checkpoints(output) if not (one / MARK).is_file()]
        if not unfinished:
            raise
        for folder in unfinished:
            shutil.rmtree(folder, ignore_errors=True)
        raise CheckpointWriteError(_write_failure(output, unfinished[-1], error)) from error


def _has_ended(checkpoint: Path) -> bool:
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    return state.global_step >= state.max_steps


def _finished_model(folder: Path) -> Path:
    """Return the folder of a model that was written before.

    Raises:
        RecipeError: If files of it are gone.
    """
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise RecipeError(
            f"{folder}: has lost its weights or its configuration; remove it, and the same command "
            "writes it again from the checkpoints"
        )
    logger.info("%s is complete already", folder)
    return folder


def _write_failure(output: Path, unfinished: Path, error: Exception) -> str:
    free = shutil.disk_usage(output).free / 1e9
    complete = list_checkpoints(output)
    last = f"the last good one is {complete[-1]}" if complete else "there is no earlier one"
    reason = " ".join(str(error).split())[:300]
    return f"{unfinished}: could not be written ({reason}); {free:.1f} GB are free, {last}"


def _choose_thresholds(trainer: RadDiagTrainer) -> None:
    """Choose decision thresholds on the validation cases and store them in the configuration."""
    found = trainer.predict(trainer.eval_dataset)
    try:
        thresholds = choose_f1_thresholds(found.label_ids, found.predictions)
    except ValueError as error:
        logger.warning("no thresholds were chosen on the validation cases: %s", error)
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    for field, value in thresholds.config_fields().items():
        setattr(model.config, field, value)


def _save_model(trainer: RadDiagTrainer, output: Path) -> Path:
    """Write the model folder under a temporary name, and rename it once it is whole."""
    target, temporary = output / MODEL_FOLDER, output / f".{MODEL_FOLDER}.incomplete"
    if trainer.is_world_process_zero():
        shutil.rmtree(temporary, ignore_errors=True)
    PartialState().wait_for_everyone()
    try:
        trainer.save_model(str(temporary), _internal_call=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointWriteError(_write_failure(output, target, error)) from error
    PartialState().wait_for_everyone()
    if trainer.is_world_process_zero():
        (temporary / "training_args.bin").unlink(missing_ok=True)  # a pickle, of no use to others
        temporary.rename(target)
    PartialState().wait_for_everyone()
    return target
