"""The Trainer for packed batches: cases in, named partial losses in the log."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from raddiag_hf.data.collate import collate_cases
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

PARTIAL_LOSSES = ("loss_classification", "loss_key_slice")


class RadDiagTrainer(Trainer):
    """Train `RadDiagForImageClassification` on cases packed by its image processor.

    Beside what `transformers.Trainer` logs, the mean of each partial loss since the last log entry
    is logged under its name. Packed tensors must not be cut along their first axis, so batches are
    neither dispatched nor split by Accelerate, and `torch.nn.DataParallel` does not work: use one
    process per device.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("data_collator", collate_cases)
        super().__init__(*args, **kwargs)
        self._partial_sums: dict[str, Tensor] = defaultdict(
            lambda: torch.zeros((), device=self.args.device)
        )
        self._num_partial = 0

    def compute_loss(
        self,
        model: RadDiagForImageClassification,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a batch, remembering its parts while training."""
        loss, outputs = super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        if model.training:
            self._num_partial += 1
            for name in PARTIAL_LOSSES:
                if (part := outputs.get(name)) is not None:
                    self._partial_sums[name] += part.detach()
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the partial losses to an entry that holds the training loss."""
        if "loss" in logs and self._num_partial:
            for name, total in sorted(self._partial_sums.items()):
                mean = self.accelerator.reduce(total / self._num_partial, reduction="mean")
                logs[name] = round(mean.item(), 6)
            self._partial_sums.clear()
            self._num_partial = 0
        super().log(logs, start_time)
