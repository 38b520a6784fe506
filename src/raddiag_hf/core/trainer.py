"""Trainer that learns nothing from what is no number, and tells how far it is."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.progress import Progress


class TrainingDivergedError(InputError):
    """A training whose loss or weights are no longer numbers: at which step, and what to try."""


class FiniteTrainer(Trainer):
    """A Trainer that ends before a loss or a weight that is not finite reaches a checkpoint."""

    def advice(self) -> str:
        """Return what to try against divergence."""
        return "lower the learning rate"

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """Run forward and backward of one batch.

        Raises:
            TrainingDivergedError: If the loss is not finite; the weights are those before the step.
        """
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss of step {self.state.global_step + 1} is {loss.item()}: {self.advice()}"
            )
        return loss

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model, unless its weights are not finite; see `transformers.Trainer.save_model`.

        Raises:
            TrainingDivergedError: If a weight is not finite.
        """
        self.check_weights()
        super().save_model(output_dir, _internal_call)

    def check_weights(self) -> None:
        """Refuse weights that are not finite.

        Raises:
            TrainingDivergedError: If there is one.
        """
        for name, weight in self.model.named_parameters():
            if not torch.isfinite(weight.detach()).all():
                raise TrainingDivergedError(
                    f"{name} is not finite at step {self.state.global_step}: {self.advice()}"
                )


class StepProgress(TrainerCallback):
    """Tells how many steps are done.

    Args:
        progress: Told so after every step.
        step: What a bar of them is called.
    """

    def __init__(self, progress: Progress, step: str) -> None:
        self.progress = progress
        self.step = step

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Report after every step."""
        self.progress(self.step, state.global_step, state.max_steps)
