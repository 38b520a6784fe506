"""Train a small RadDiag on phantoms, in minutes on two cores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from raddiag_hf.demo.phantom_data import PhantomSplits
from raddiag_hf.labels.bands import band_columns
from raddiag_hf.metrics import (
    BootstrapSettings,
    EvaluationResult,
    choose_f1_thresholds,
    evaluate_predictions,
)
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.trainer import RadDiagTrainer

IMAGE_SIZE, MAX_SLICES, WIDTH = 48, 6, 16
HEAD_FROM, TAIL_BELOW = 50, 15
"""Bounds of head and tail, scaled to a data set of hundreds rather than tens of thousands."""

BATCH_SIZE = 8
CURVE_POINTS = 80
"""Points of the training curve."""

LogEntry = dict[str, float]


def demo_processor() -> RadDiagImageProcessor:
    """Return the image processor of the demo's network."""
    return RadDiagImageProcessor(image_size=IMAGE_SIZE, max_slices=MAX_SLICES)


def demo_config(splits: PhantomSplits) -> RadDiagConfig:
    """Return the configuration of the demo's network: the published one, much narrower."""
    names = splits.label_set.names
    return RadDiagConfig(
        image_size=IMAGE_SIZE,
        max_slices=MAX_SLICES,
        num_channels=1,
        resnet_depth=10,
        resnet_width=WIDTH,
        hidden_size=8 * WIDTH,
        intermediate_size=8 * WIDTH,
        num_attention_heads=4,
        num_fusion_heads=4,
        initializer_range=(8 * WIDTH) ** -0.5,  # the usual 0.02 stalls tokens this narrow
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        label_set_fingerprint=splits.label_set.fingerprint,
    )


class _Progress(TrainerCallback):
    """Tells how many steps are done."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self.report = report

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Report after every step."""
        self.report(state.global_step, state.max_steps)


def train_on_phantoms(
    splits: PhantomSplits,
    work_dir: Path,
    *,
    num_epochs: float,
    seed: int,
    report_progress: Callable[[int, int], None],
) -> tuple[RadDiagTrainer, list[LogEntry]]:
    """Train, choose thresholds on the validation cases, and return trainer and training log.

    Args:
        splits: Phantom cases, packed at the demo's size.
        work_dir: Where the Trainer may write.
        num_epochs: Passes over the training cases.
        seed: Of weights and order.
        report_progress: Called with steps done and steps in all.
    """
    torch.manual_seed(seed)
    model = RadDiagForImageClassification(demo_config(splits))
    trainer = RadDiagTrainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(work_dir),
            per_device_train_batch_size=BATCH_SIZE,
            per_device_eval_batch_size=16,
            num_train_epochs=num_epochs,
            learning_rate=2e-3,
            lr_scheduler_type="cosine",
            warmup_steps=0.1,
            weight_decay=0.05,
            logging_steps=max(1, round(num_epochs * len(splits.train) / BATCH_SIZE / CURVE_POINTS)),
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=seed,
            dataloader_pin_memory=False,
        ),
        train_dataset=splits.train,
        eval_dataset=splits.validation,
        callbacks=[_Progress(report_progress)],
    )
    trainer.remove_callback(PrinterCallback)  # progress is reported by ours
    trainer.train()
    validation = trainer.predict(splits.validation)
    thresholds = choose_f1_thresholds(validation.label_ids, validation.predictions)
    for field, value in thresholds.config_fields().items():
        setattr(model.config, field, value)
    return trainer, trainer.state.log_history


def evaluate_on_phantoms(trainer: RadDiagTrainer, splits: PhantomSplits) -> EvaluationResult:
    """Evaluate on the test cases, with the thresholds chosen on the validation cases."""
    test = trainer.predict(splits.test)
    label_set = splits.label_set
    return evaluate_predictions(
        test.label_ids,
        test.predictions,
        thresholds=trainer.model.config.decision_thresholds,
        groups=band_columns(label_set.train_counts, head_from=HEAD_FROM, tail_below=TAIL_BELOW),
        class_names=label_set.names,
        bootstrap=BootstrapSettings(),
    )
