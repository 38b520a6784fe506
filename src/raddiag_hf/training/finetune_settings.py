"""Settings of a fine-tuning."""

import math
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.settings import Setting, check_settings


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


@dataclass(frozen=True)
class FinetuneSettings:
    """How to fine-tune; the defaults suit some hundred to some thousand cases.

    Attributes:
        method: linear-probe: logistic regression on case embeddings, in seconds. lora: adapters of
            a few MB. full: all weights.
        head: Classifier of a new label set: learnt from scratch, or a knowledge head that reads the
            label names. A label set that equals the model's keeps its classifier, except in a
            linear probe.
        fusion: Whether scans are fused. auto skips it where every case has one scan and the
            classifier is new.
        label_column: Which labels to learn, where there are several.
        validation_fraction: Share of the training cases that are set aside, by patient, where the
            data set has no validation split.
        penalties: Penalties that a linear probe chooses from, on validation.
        num_epochs: At most; training stops when validation gets no better.
        patience: Epochs to wait for a better validation loss.
        batch_size: Cases of a step.
        learning_rate: Peak; by default 0.001 for lora, 0.0001 for full.
        weight_decay: lora and full: of weights; norms, biases and learnt tokens have none.
        layer_decay: full: factor of the learning rate from each layer to the one before.
        lora_rank: lora: rank of the adapters.
        train_batch_norm: full: let batch norms follow the new data; needs a lot. Frozen, they keep
            the statistics of pre-training, which small batches cannot replace.
        chunk_size: Slices encoded at once; fewer need less memory.
        device: cpu, cuda or mps; by default the first GPU, where there is one.
        num_workers: Processes that decode cases.
        seed: Of splits, weights and order.

    Raises:
        FinetuneError: If a value is out of its range, or values contradict each other.
    """

    method: Method
    head: Head = Head.NEW
    fusion: Fusion = Fusion.AUTO
    label_column: Annotated[str | None, Setting(metavar="NAME")] = None
    validation_fraction: Annotated[float, Setting(above=0, max=0.9)] = 0.125
    penalties: Annotated[tuple[float, ...], Setting(python_only=True)] = PENALTIES
    num_epochs: Annotated[int, Setting("--epochs", min=1)] = 20
    patience: Annotated[int, Setting(min=1)] = 5
    batch_size: Annotated[int, Setting(min=1)] = 8
    learning_rate: Annotated[float | None, Setting(above=0, metavar="LR")] = None
    weight_decay: Annotated[float, Setting(min=0)] = 0.05
    layer_decay: Annotated[float, Setting(above=0, max=1)] = 0.8
    lora_rank: Annotated[int, Setting(min=1)] = 8
    train_batch_norm: bool = False
    chunk_size: Annotated[int | None, Setting(min=1, metavar="N")] = None
    device: Annotated[str | None, Setting(metavar="NAME")] = None
    num_workers: Annotated[int, Setting("--workers", min=0, metavar="N")] = min(
        4, os.cpu_count() or 1
    )
    seed: Annotated[int, Setting(min=0)] = 0

    def __post_init__(self) -> None:
        check_settings(self, FinetuneError)
        # As recipes have them: text and lists.
        for name, kind in {"method": Method, "head": Head, "fusion": Fusion}.items():
            object.__setattr__(self, name, kind(getattr(self, name)))
        object.__setattr__(self, "penalties", tuple(self.penalties))
        if not self.penalties or not all(0 < one < math.inf for one in self.penalties):
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
