"""What a fine-tuning run can be told."""

import math
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from raddiag_hf.core.errors import InputError


class FinetuneError(InputError):
    """A model, data set or setting that cannot be fine-tuned: which, and what was expected."""


class Method(StrEnum):
    """How much of the network adapts."""

    LINEAR_PROBE = "linear-probe"
    """Logistic regression on case embeddings, which stay as they are."""
    LORA = "lora"
    """Low-rank adapters in encoder and fusion, and the last layer of the classifier."""
    FULL = "full"
    """All weights, those far from the classifier more slowly."""


class Head(StrEnum):
    """Where the classifier of a new label set comes from."""

    NEW = "new"
    """Its last layer is learnt from scratch."""
    KNOWLEDGE = "knowledge"
    """The model's knowledge head reads the label names."""


class Fusion(StrEnum):
    """Whether scans are fused before they are classified."""

    AUTO = "auto"
    """Skipped where every case has one scan and the classifier is new."""
    KEEP = "keep"
    SKIP = "skip"
    """Scans are classified one by one; the probabilities of a case's scans are averaged."""


PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Penalties that a linear probe chooses from; scikit-learn's ``C`` is their inverse."""

_WHOLE_NUMBERS = {
    "num_epochs": 1,
    "patience": 1,
    "batch_size": 1,
    "lora_rank": 1,
    "chunk_size": 1,
    "num_workers": 0,
    "seed": 0,
}
"""Settings that count something, and the least that each can be."""


@dataclass(frozen=True)
class FinetuneSettings:
    """How to fine-tune; the defaults suit some hundred to some thousand cases.

    Attributes:
        method: How much of the network adapts.
        head: Where the classifier of a new label set comes from. A label set that equals the
            model's keeps the model's classifier, except in a linear probe.
        fusion: Whether scans are fused.
        label_column: Label space to learn; None where the data set has one.
        validation_fraction: Share of the training cases that are set aside, by patient, where the
            data set has no validation split.
        penalties: Penalties that a linear probe chooses from, on validation.
        num_epochs: The most passes over the training cases.
        patience: Epochs without a better validation loss after which training stops.
        batch_size: Cases of a step.
        learning_rate: Peak; 1e-3 for adapters and 1e-4 for all weights where None.
        weight_decay: Of weights; norms, biases and learnt tokens have none.
        layer_decay: Each layer's learning rate is that of the next one times this.
        lora_rank: Rank of the adapters.
        train_batch_norm: Whether batch norms follow the new data. Frozen, they keep the statistics
            of pre-training, which small batches cannot replace. Full fine-tuning only.
        chunk_size: Slices that are encoded at once; bounds memory. None for all.
        device: ``cpu``; the first GPU, where there is one, if None.
        num_workers: Processes that decode cases.
        seed: Of the split, new weights and the order of cases.

    Raises:
        FinetuneError: If a value is out of its range, or values contradict each other.
    """

    method: Method
    head: Head = Head.NEW
    fusion: Fusion = Fusion.AUTO
    label_column: str | None = None
    validation_fraction: float = 0.125
    penalties: tuple[float, ...] = PENALTIES
    num_epochs: int = 20
    patience: int = 5
    batch_size: int = 8
    learning_rate: float | None = None
    weight_decay: float = 0.05
    layer_decay: float = 0.8
    lora_rank: int = 8
    train_batch_norm: bool = False
    chunk_size: int | None = None
    device: str | None = None
    num_workers: int = min(4, os.cpu_count() or 1)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if value is None and name == "chunk_size":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise FinetuneError(
                    f"{name} is {value!r}, expected a whole number of at least {least}"
                )
        if self.learning_rate is not None and not 0 < self.learning_rate < math.inf:
            raise FinetuneError(f"learning_rate is {self.learning_rate}, expected more than 0")
        if not 0 <= self.weight_decay < math.inf:
            raise FinetuneError(f"weight_decay is {self.weight_decay}, expected at least 0")
        for name in ("validation_fraction", "layer_decay"):
            upper = 1 if name == "layer_decay" else 0.9
            if not 0 < getattr(self, name) <= upper:
                raise FinetuneError(f"{name} is {getattr(self, name)}, expected 0 to {upper}")
        if not self.penalties or min(self.penalties) <= 0:
            raise FinetuneError(f"penalties are {list(self.penalties)}, expected positive numbers")
        if self.method is Method.LINEAR_PROBE and self.head is Head.KNOWLEDGE:
            raise FinetuneError("head is knowledge, but a linear probe learns its own head")
        if self.lora_rank != FinetuneSettings.lora_rank and self.method is not Method.LORA:
            raise FinetuneError(f"lora_rank is {self.lora_rank}, but the method is {self.method}")
        if self.train_batch_norm and self.method is not Method.FULL:
            raise FinetuneError(
                f"train_batch_norm is for full fine-tuning: {self.method} saves no batch statistics"
            )
        if self.train_batch_norm and self.chunk_size is not None:
            raise FinetuneError(
                f"chunk_size is {self.chunk_size}, but batch norms can only be trained unchunked"
            )

        if self.train_batch_norm and self.batch_size == 1:
            raise FinetuneError(
                "batch_size is 1, but batch norms can only be trained on several cases at once"
            )

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate that is used."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 1e-3 if self.method is Method.LORA else 1e-4

    def hyperparameters(self) -> dict[str, Any]:
        """Return the settings that decide this method's result, as JSON values."""
        of_method = {
            Method.LINEAR_PROBE: ("penalties",),
            Method.LORA: ("num_epochs", "patience", "batch_size", "weight_decay", "lora_rank"),
            Method.FULL: (
                "num_epochs",
                "patience",
                "batch_size",
                "weight_decay",
                "layer_decay",
                "train_batch_norm",
            ),
        }[self.method]
        values = asdict(self)
        found = {name: values[name] for name in of_method}
        if self.method is not Method.LINEAR_PROBE:
            found["learning_rate"] = self.peak_learning_rate
        else:
            found["penalties"] = list(self.penalties)
        return found | {
            name: values[name] for name in ("head", "fusion", "validation_fraction", "seed")
        }
