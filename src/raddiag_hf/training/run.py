"""Run a recipe: start or go on, train, choose thresholds, and leave a model that can be loaded."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError
from transformers import EvalPrediction, TrainerState, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from raddiag_hf.atomic_files import atomic_write
from raddiag_hf.evaluation import choose_f1_thresholds, evaluate_predictions
from raddiag_hf.training.checkpointing import (
    MARK,
    CheckpointKeeper,
    last_complete_checkpoint,
    list_checkpoints,
)
from raddiag_hf.training.preparation import (
    TrainingData,
    build_augmentation,
    build_model,
    load_training_data,
    training_arguments,
)
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.trainer import RadDiagTrainer

logger = logging.getLogger(__name__)

MODEL_FOLDER, RUN_FILE = "model", "run.json"
HARMLESS_ARGUMENTS = frozenset(
    {
        "per_device_train_batch_size",  # the cases of a step are compared instead
        "gradient_accumulation_steps",
        "per_device_eval_batch_size",
        "dataloader_num_workers",
        "dataloader_persistent_workers",
        "dataloader_prefetch_factor",
        "dataloader_pin_memory",
        "disable_tqdm",
        "logging_steps",
        "report_to",
        "run_name",
        "save_total_limit",
        "ddp_backend",
        "ddp_timeout",
    }
)
"""Training arguments that may change between a run and its continuation."""


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
        RecipeError: If the recipe cannot be followed, or ``output`` holds the run of another.
        TrainingDivergedError: If the loss is no longer a number; checkpoints stay.
        CheckpointWriteError: If the disk does not take a checkpoint; earlier ones stay.
        OSError, DataSourceError, ModelSourceError, LabelMismatchError: If the data, or a checkpoint
            to start from, cannot be had, or do not belong together.
    """
    args = training_arguments(recipe)
    output, process = Path(recipe.output), PartialState()
    with process.main_process_first():
        data = load_training_data(recipe.data)
    checkpoint = _start(output, recipe, args, data)
    if (output / MODEL_FOLDER).is_dir():
        logger.info("%s is complete already", output / MODEL_FOLDER)
        return output / MODEL_FOLDER

    set_seed(args.seed)  # draws the weights of a new network
    model, processor = build_model(recipe, data)
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
        callbacks=[CheckpointKeeper(keep)],
    )
    _train(trainer, checkpoint)
    if data.validation is not None:
        _choose_thresholds(trainer)
    return _save_model(trainer, output)


def macro_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Return mean AUC and AP over the labels that can be evaluated on the validation cases."""
    logits = prediction.predictions
    if isinstance(logits, tuple):
        logits = logits[0]
    values = evaluate_predictions(prediction.label_ids, np.asarray(logits, np.float32))
    mean = values.groups["all"]
    return {
        "auc": float(mean.values["auc"]),
        "ap": float(mean.values["ap"]),
        "evaluated_labels": mean.evaluated,
    }


def _start(
    output: Path, recipe: Recipe, args: TrainingArguments, data: TrainingData
) -> Path | None:
    """Claim the output folder; return the checkpoint to go on from, the same in all processes."""
    process = PartialState()
    found: list[Path | None] = [None]
    if process.is_main_process:
        run = {
            "recipe": _comparable(recipe),
            "cases_per_step": args.per_device_train_batch_size
            * args.gradient_accumulation_steps
            * args.world_size,
            "train_cases": len(data.train),
            "label_set": data.label_set.fingerprint,
        }
        _claim(output, run)
        found = [last_complete_checkpoint(output)]
    broadcast_object_list(found)
    return found[0]


def _claim(output: Path, run: Mapping[str, Any]) -> None:
    """Make the output folder this run's, or refuse one that is another's."""
    path = output / RUN_FILE
    if path.is_file():
        earlier = json.loads(path.read_text("utf-8"))
        if differing := sorted(_differences(earlier, json.loads(json.dumps(run)))):
            raise RecipeError(
                f"{output}: holds a run that differs in {', '.join(differing)}; name another "
                "output, or remove it"
            )
        return
    if output.is_dir() and any(output.iterdir()):
        raise RecipeError(f"{output}: is not empty and holds no run to go on with")
    output.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(run, indent=1) + "\n", "utf-8")


def _comparable(recipe: Recipe) -> dict[str, Any]:
    content = recipe.to_dict()
    del content["output"]
    content["training"] = {
        name: value for name, value in recipe.training.items() if name not in HARMLESS_ARGUMENTS
    }
    return content


def _differences(earlier: Any, current: Any, where: str = "") -> list[str]:
    if isinstance(earlier, dict) and isinstance(current, dict):
        return [
            difference
            for key in {**earlier, **current}
            for difference in _differences(
                earlier.get(key), current.get(key), f"{where}.{key}" if where else key
            )
        ]
    return [] if earlier == current else [where]


def _train(trainer: RadDiagTrainer, checkpoint: Path | None) -> None:
    output = Path(trainer.args.output_dir)
    try:
        if checkpoint is not None and (last := _trained_weights(checkpoint)) is not None:
            trainer.model.load_state_dict(type(trainer.model).from_pretrained(last).state_dict())
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


def _trained_weights(checkpoint: Path) -> Path | None:
    """Return where the final weights of a run lie that ended and was not finished, else None."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    if state.global_step < state.max_steps:
        return None
    best = state.best_model_checkpoint
    return checkpoint if best is None or not Path(best).is_dir() else Path(best)


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
    trainer.save_model(str(temporary), _internal_call=True)
    PartialState().wait_for_everyone()
    if trainer.is_world_process_zero():
        (temporary / "training_args.bin").unlink(missing_ok=True)  # a pickle, of no use to others
        temporary.rename(target)
    PartialState().wait_for_everyone()
    return target
