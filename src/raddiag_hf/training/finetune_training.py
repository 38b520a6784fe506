"""Training an adapted model until the validation loss no longer falls; resumable."""

import logging
import math
from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import TRAINER_STATE_NAME

from raddiag_hf.core.checkpoint_folders import CheckpointKeeper, last_complete_checkpoint
from raddiag_hf.training.finetune_settings import FinetuneError, FinetuneSettings, Method
from raddiag_hf.training.layer_rates import parameter_groups
from raddiag_hf.training.methods.features import Progress
from raddiag_hf.training.trainer import RadDiagTrainer

logger = logging.getLogger(__name__)

WARMUP_SHARE = 0.1
EVALUATION_BATCH_CASES = 4


@dataclass(frozen=True)
class TrainingCourse:
    """How a training went.

    Attributes:
        trainer: Holds the model with the weights of the best epoch.
        best_epoch: That epoch, from 1.
        num_epochs: Epochs that were trained.
        best_validation_loss: Its loss on validation.
    """

    trainer: RadDiagTrainer
    best_epoch: float
    num_epochs: float
    best_validation_loss: float


def train_until_best(
    model: Any,
    train: Sized,
    validation: Sized,
    settings: FinetuneSettings,
    folder: Path,
    report_progress: Progress,
) -> TrainingCourse:
    """Train and return to the epoch with the lowest validation loss.

    Checkpoints go to ``folder``; called again with equal arguments, training goes on from the last
    complete one.

    Args:
        model: A `RadDiagForImageClassification`, or PEFT's wrapping of one.
        train: Packed training cases.
        validation: Packed validation cases.
        settings: How to train.
        folder: For this run alone.
        report_progress: Called after every step.

    Raises:
        FinetuneError: If several GPUs are visible: one process trains on one.
        TrainingDivergedError: If the loss is no longer a number.
    """
    args = _arguments(settings, folder)
    if args.n_gpu > 1:
        raise FinetuneError(
            f"{args.n_gpu} GPUs are visible, but one is used: set CUDA_VISIBLE_DEVICES to one"
        )
    groups = parameter_groups(
        model.get_base_model() if settings.method is Method.LORA else model,
        learning_rate=settings.peak_learning_rate,
        layer_decay=settings.layer_decay if settings.method is Method.FULL else 1.0,
        weight_decay=settings.weight_decay,
    )
    trainer = RadDiagTrainer(
        model=model,
        args=args,
        train_dataset=train,
        eval_dataset=validation,
        optimizers=(torch.optim.AdamW(groups, lr=settings.peak_learning_rate), None),
        callbacks=[
            CheckpointKeeper(keep=1),
            EarlyStoppingCallback(early_stopping_patience=settings.patience),
            _StepReport(report_progress),
        ],
    )
    trainer.remove_callback(PrinterCallback)  # progress is reported by ours
    checkpoint = last_complete_checkpoint(folder)
    if checkpoint is not None:
        logger.info("going on from %s", checkpoint)
        if (epochs := _epochs_of_ended(checkpoint, settings.patience)) is not None:
            args.num_train_epochs = epochs  # nothing is left but to return to the best epoch
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    state = trainer.state
    losses = {
        entry["eval_loss"]: entry["epoch"]
        for entry in reversed(state.log_history)
        if "eval_loss" in entry
    }
    return TrainingCourse(trainer, losses[min(losses)], float(state.epoch or 0), float(min(losses)))


class _StepReport(TrainerCallback):
    """Tells how many steps are done."""

    def __init__(self, report_progress: Progress) -> None:
        self.report_progress = report_progress

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Report after every step."""
        self.report_progress("Training", state.global_step, state.max_steps)


def _arguments(settings: FinetuneSettings, folder: Path) -> TrainingArguments:
    uses_cpu = settings.device == "cpu" or not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(folder),
        use_cpu=uses_cpu,
        bf16=not uses_cpu and torch.cuda.is_bf16_supported(),
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=EVALUATION_BATCH_CASES,
        num_train_epochs=settings.num_epochs,
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP_SHARE,
        eval_strategy="epoch",
        save_strategy="epoch",
        logging_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
        dataloader_num_workers=settings.num_workers,
        dataloader_pin_memory=not uses_cpu,
    )


def _epochs_of_ended(checkpoint: Path, patience: int) -> int | None:
    """Return the epochs of a training that ended at this checkpoint; None if it did not."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    callback = state.stateful_callbacks.get("EarlyStoppingCallback", {})
    waited = callback.get("attributes", {}).get("early_stopping_patience_counter", 0)
    ended = waited >= patience or state.global_step >= state.max_steps
    return math.ceil(state.epoch) if ended else None
