"""Gradient training: a run of the Trainer that resumes exactly and ends with its best weights."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from numpy.typing import NDArray
from torch import nn
from transformers import (
    EarlyStoppingCallback,
    EvalPrediction,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME

from raddiag_hf.checkpoints.adapters import ADAPTER_WEIGHTS
from raddiag_hf.core.checkpoint_folders import (
    CheckpointKeeper,
    ResumeGuard,
    find_damage,
    last_complete_checkpoint,
    named_checkpoint_failure,
)
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.core.trainer import StepProgress, TrainingDivergedError
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.metrics.class_metrics import evaluate_predictions
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.training.known_failures import (
    CHANCE_AUC,
    LEAST_GAIN,
    LEAST_VALIDATION,
    prevalence_loss,
)
from raddiag_hf.training.methods.fitted_model import FittedModel
from raddiag_hf.training.methods.scan_embeddings import ScanEmbeddings, embed_scans_of
from raddiag_hf.training.trainer import RadDiagTrainer
from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

_LAYER = re.compile(
    r".*?(?:\.layer\d|\.trunk\.\d|\.(?:layers?|stages|blocks)\.\d+"  # the latter of backbones
    r"|\.(?:slice|scan)_attention|^classifier)\b"
)
_UNDECAYED = (
    "cls_token", "class_embedding", "mask_token", "register_tokens", "reg_token", "probe",
    "position_embeddings", "position_embedding.weight", "pos_embed", "_positions",
    "modality_embeddings.weight",
)  # fmt: skip

METRIC_NAMES = {"loss": "loss", "auc": "AUC", "ap": "AP"}


def fit_weights(
    model: Any,
    args: TrainingArguments,
    data: CaseSplits,
    processor: RadDiagImageProcessor,
    progress: Progress = no_progress,
    *,
    augmentation: CaseAugmentation | None = None,
    slice_counts: Sequence[int] | None = None,
    repeat_factors: NDArray[np.float64] | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    patience: int | None = None,
    in_memory: bool = False,
) -> FittedModel:
    """Train the weights that require a gradient, and return to the best where ``args`` say so.

    Checkpoints go to ``args.output_dir``. Called again with equal arguments, training resumes from
    the last complete one and ends with the same weights.

    Args:
        model: A `RadDiagForImageClassification`, or PEFT's wrapping of one.
        args: The Trainer's; of checkpoints, ``save_total_limit`` and the best one are kept.
        data: Training cases; validation cases, if ``args`` evaluate.
        processor: The model's.
        progress: Called after every step.
        augmentation: How training cases are changed at random.
        slice_counts: Slices of each training case, to balance steps by; see `RadDiagTrainer`.
        repeat_factors: How often each training case comes in an epoch.
        optimizer: That of ``args`` if None.
        patience: Evaluations without a better metric after which training stops; None for never.
        in_memory: Decode and resample every case once and keep it; see
            `TrainingCases.keep_in_memory`.

    Raises:
        InputError: If several GPUs are visible to this one process.
        RunFolderError: If the best checkpoint so far is damaged.
        CheckpointDamagedError: If the one to resume from holds another optimizer, or code.
        StorageError: If the disk does not take a checkpoint; earlier ones stay.
        TrainingDivergedError: If the loss or a logit is no longer a number; checkpoints stay.
    """
    if args.n_gpu > 1:
        raise InputError(
            f"{args.n_gpu} GPUs are visible, but a process trains on one: set CUDA_VISIBLE_DEVICES "
            "to one"
        )
    folder = Path(args.output_dir)
    checkpoint, best = _checkpoints_to_resume(folder, args.load_best_model_at_end)
    config = model.config
    if args.ddp_find_unused_parameters is None:
        # Only separate stems for 2D and 3D scans can both be in a network and one not in a batch.
        # Of a backbone, weights that the pooling does not read get no gradient at all.
        args.ddp_find_unused_parameters = config.encoder_type != "resnet_vit"
    keep, args.save_total_limit = args.save_total_limit, None
    callbacks: list[TrainerCallback] = [
        CheckpointKeeper(keep, best),
        StepProgress(progress, "Training"),
    ]
    if Split.VALIDATION in data and config.classification_loss == "bce":
        callbacks.append(_StallWarning(data, config.has_exclusive_labels))
    if patience is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=patience))
    train = data[Split.TRAIN].pack(processor, augmentation, args.seed)
    held_out = {name: one.pack(processor) for name, one in data.items() if name != Split.TRAIN}
    trainer = RadDiagTrainer(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=held_out.get(Split.VALIDATION),
        processing_class=processor,
        compute_metrics=macro_metrics,
        train_slice_counts=slice_counts,
        train_repeat_factors=repeat_factors,
        optimizers=(optimizer, None),
        callbacks=callbacks,
    )
    if not args.report_to:
        trainer.remove_callback(PrinterCallback)
    if checkpoint is not None and _has_ended(checkpoint, patience):
        _restore(trainer, best or checkpoint)
        trainer.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    else:
        if checkpoint is not None:
            logger.info("resuming from %s", checkpoint)
        if in_memory:
            for cases in (train, *held_out.values()):
                cases.keep_in_memory(progress)
        trainer.add_callback(guard := ResumeGuard(checkpoint))
        with named_checkpoint_failure(folder), guard.guard():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def predict(split: Split) -> NDArray[np.floating[Any]]:
        return _logits(trainer.predict(held_out[split]).predictions)

    def save(target: Path) -> None:
        trainer.save_model(str(target), _internal_call=True)
        (target / "training_args.bin").unlink(missing_ok=True)  # a pickle, of no use to others

    trained: Any = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(trained, "get_base_model"):
        trained = trained.get_base_model()

    def embed_scans(split: Split) -> ScanEmbeddings:
        cases = data[split].pack(processor) if split == Split.TRAIN else held_out[split]
        return embed_scans_of(trained, cases, args.device, args.dataloader_num_workers)

    return FittedModel(trained, predict, _describe_selection(trainer), save, embed_scans)


class _StallWarning(TrainerCallback):
    """Says, once half of the steps are done, that the validation loss never fell.

    Not of few validation cases, nor while these are ranked better than by chance.
    """

    def __init__(self, data: CaseSplits, exclusive: bool) -> None:
        counts = np.array(data.label_set.train_counts)
        labels, known = data[Split.VALIDATION].labels, np.array(data[Split.TRAIN].known_counts)
        prevalence = prevalence_loss(labels, counts, known, exclusive=exclusive)
        self.bound = (1 - LEAST_GAIN) * prevalence
        self.best = np.inf
        self.is_silent = len(labels) < LEAST_VALIDATION

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> None:
        self.best = min(self.best, metrics.get("eval_loss", np.inf))
        is_due = 2 * state.global_step >= state.max_steps and not self.is_silent
        is_chance = not metrics.get("eval_auc", np.nan) > CHANCE_AUC
        if is_due and is_chance and self.best >= self.bound:
            self.is_silent = True
            logger.warning(
                "after %d of %d steps the loss on validation was never below %.4f, barely what "
                "telling each label's frequency gives (the best is %.4f), and cases are ranked "
                "as by chance: change the learning rate or the start, or see that the labels are "
                "right",
                state.global_step, state.max_steps, self.bound, self.best,
            )  # fmt: skip


def parameter_groups(
    model: nn.Module, *, learning_rate: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return the trainable parameters of a RadDiag model as groups for an optimizer.

    A layer is a stage of a convolutional network, a transformer layer, attention pooling or the
    classifier, in the order of the forward pass. What stands outside of any layer shares the rate
    of the layer before it; the stems come first. Norms, biases and learnt tokens have no weight
    decay.

    Args:
        model: Of any encoder family.
        learning_rate: Of the classifier.
        layer_decay: Each layer's rate is that of the next one times this; 1 for equal rates.
        weight_decay: Of all other weights.

    Source:
        Layer-wise decay as in Bao et al., BEiT, ICLR 2022, appendix.
    """
    depth_of: dict[str, int] = {}
    depth = 0
    seen: set[str] = set()
    for name, _ in model.named_parameters():
        layer = _LAYER.match(name)
        if layer is not None and layer[0] not in seen:
            seen.add(layer[0])
            depth = len(seen)
        depth_of[name] = depth
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and not name.endswith(_UNDECAYED)
        group = groups.setdefault(
            (depth_of[name], decays),
            {
                "params": [],
                "lr": learning_rate * layer_decay ** (depth - depth_of[name]),
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def macro_metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Return mean AUC and AP over the labels that can be evaluated on the validation cases.

    Raises:
        TrainingDivergedError: If a logit is not finite.
    """
    logits = _logits(prediction.predictions)
    if not np.isfinite(logits).all():
        raise TrainingDivergedError(
            "the logits of validation cases are not finite: lower the learning rate, or look for "
            "cases with broken pixels"
        )
    mean = evaluate_predictions(prediction.label_ids, logits).groups["all"]
    return {
        "auc": float(mean.values["auc"]),
        "ap": float(mean.values["ap"]),
        "evaluated_labels": mean.evaluated,
    }


def _logits(predictions: Any) -> NDArray[np.float32]:
    return np.asarray(predictions[0] if isinstance(predictions, tuple) else predictions, np.float32)


def _checkpoints_to_resume(folder: Path, needs_best: bool) -> tuple[Path | None, Path | None]:
    """Return the last checkpoint and the best one up to it, the same in all processes."""
    found: list[Path | None] = [None, None]
    if PartialState().is_main_process and (last := last_complete_checkpoint(folder)) is not None:
        found = [last, _best_checkpoint(last) if needs_best else None]
    broadcast_object_list(found)
    return found[0], found[1]


def _best_checkpoint(last: Path) -> Path | None:
    """Return the best checkpoint up to another, wherever the run lay when it was written.

    Raises:
        RunFolderError: If it is no longer what was written.
    """
    state = TrainerState.load_from_json(str(last / TRAINER_STATE_NAME))
    if state.best_model_checkpoint is None:
        return None
    best = last.parent / Path(state.best_model_checkpoint).name
    if find_damage(best) is not None:
        raise RunFolderError(
            f"{best}: is the best checkpoint so far and is gone or damaged, so the run cannot end "
            f"with its weights; restore it, or remove {last.parent} to train anew"
        )
    return best


def _has_ended(checkpoint: Path, patience: int | None) -> bool:
    """Tell whether a training took its last step, or its patience ended, at this checkpoint."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    early_stopping = state.stateful_callbacks.get(EarlyStoppingCallback.__name__, {})
    waited = early_stopping.get("attributes", {}).get("early_stopping_patience_counter", 0)
    return state.global_step >= state.max_steps or (patience is not None and waited >= patience)


def _restore(trainer: RadDiagTrainer, checkpoint: Path) -> None:
    """Give the model the weights of a checkpoint."""
    model = trainer.model
    if (checkpoint / ADAPTER_WEIGHTS).is_file():
        model.load_adapter(str(checkpoint), model.active_adapter)
    else:
        model.load_state_dict(type(model).from_pretrained(checkpoint).state_dict())
    model.to(trainer.args.device)


def _describe_selection(trainer: RadDiagTrainer) -> str:
    """Return which weights the model ended with, in words."""
    args, state = trainer.args, trainer.state
    metric = f"eval_{(args.metric_for_best_model or '').removeprefix('eval_')}"
    measured = [entry for entry in state.log_history if metric in entry]
    if not args.load_best_model_at_end or not measured:
        return f"the last of {state.global_step} steps"
    best = (max if args.greater_is_better else min)(measured, key=lambda entry: entry[metric])
    name = METRIC_NAMES.get(metric.removeprefix("eval_"), metric)
    epochs = f"{best['epoch']:.4g} of {state.epoch or 0:.4g}"
    return f"epoch {epochs}, by the {name} on validation, {best[metric]:.4f}"
