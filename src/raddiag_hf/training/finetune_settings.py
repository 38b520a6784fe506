"""Settings of a fine-tuning."""

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.settings import Setting, check_settings, setting_fields
from raddiag_hf.metrics.threshold_rule import ThresholdRule


class FinetuneError(InputError):
    """A model, data set or setting that cannot be fine-tuned: which, and what was expected."""


class Start(StrEnum):
    """What a fine-tuning starts from."""

    MODEL = "model"
    """A RadDiag model: the authors', converted, or one of a user's own."""
    BACKBONE = "backbone"
    """A vision backbone of the Hub, and random weights behind it."""
    SCRATCH = "scratch"
    """Random weights alone, of a small network."""


BACKBONE_PREFIX = "backbone:"
"""What the address of a backbone begins with, so that it is not taken for a RadDiag model's."""


def start_kind(address: str | None) -> Start:
    """Return what an address stands for; no address is no weights."""
    if address is None or address == Start.SCRATCH:
        return Start.SCRATCH
    return Start.BACKBONE if address.startswith(BACKBONE_PREFIX) else Start.MODEL


def check_start(address: str | None) -> None:
    """Refuse what cannot be a start, before anything is read.

    Raises:
        FinetuneError: If it is neither a folder nor a Hub id, nor a start without a model.
    """
    if address is None or start_kind(address) is not Start.MODEL:
        return
    place = address.rpartition(":")[0] or address  # a folder in it may be named
    is_there = any(Path(one).expanduser().exists() for one in (address, place))
    if "/" not in place and not is_there:
        raise FinetuneError(
            f"{address}: no such folder, and not a Hub id (owner/name); expected that of a RadDiag "
            f"model, {BACKBONE_PREFIX} and that of a vision backbone, or {Start.SCRATCH}"
        )


class Method(StrEnum):
    """How much of the network adapts."""

    LINEAR_PROBE = "linear-probe"
    """Logistic regression on case embeddings, which stay as they are."""
    ATTENTIVE_PROBE = "attentive-probe"
    """The same, and attention over slices and scans, on slice features that stay."""
    LORA = "lora"
    """Low-rank adapters in encoder and fusion, and the last layer of the classifier."""
    FULL = "full"
    """All weights, those far from the classifier more slowly."""


class Augmentation(StrEnum):
    """How training cases are changed at random in every epoch."""

    NONE = "none"
    LIGHT = "light"
    """Scans are turned, shifted and scaled a little, half of them mirrored; of a deep one, a
    quarter of the slices is seen, others in every epoch."""
    SIDED = "sided"
    """The same without mirrors, for labels that tell left from right."""


PROBES = (Method.LINEAR_PROBE, Method.ATTENTIVE_PROBE)
"""Methods that leave the encoder as it is."""


BY_GRADIENT = (Method.LORA, Method.FULL)
USED_BY: Mapping[str, tuple[Method, ...]] = {
    "penalties": PROBES,
    "features": (Method.ATTENTIVE_PROBE,),
    "num_epochs": BY_GRADIENT,
    "patience": BY_GRADIENT,
    "batch_size": BY_GRADIENT,
    "learning_rate": BY_GRADIENT,
    "weight_decay": BY_GRADIENT,
    "augmentation": BY_GRADIENT,
    "lora_rank": (Method.LORA,),
    "layer_decay": (Method.FULL,),
    "train_batch_norm": (Method.FULL,),
}
"""Settings that not every method uses, and the methods that do."""


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
        method: linear-probe: logistic regression on case embeddings, in seconds. attentive-probe:
            attention over slices and scans too, on slice features that are computed once. lora:
            adapters of a few MB. full: all weights. By default full from scratch, attentive-probe
            for a backbone, and linear-probe for a RadDiag model.
        head: Classifier of a new label set: learnt from scratch, or a knowledge head that reads the
            label names. A label set that equals the model's keeps its classifier, except in a
            linear probe.
        fusion: Whether scans are fused. auto skips it where every case has one scan and the
            classifier is new.
        exclusive: Whether every case has exactly one label, so that a softmax over the labels is
            learnt instead of a sigmoid for each. By default so where every training and validation
            case has one; a classifier that is kept stays what it is.
        label_column: Which labels to learn, where there are several: a column, such as icd10, or
            disorders:200 for the 200 of one with the most training cases.
        validation_fraction: Share of the training cases that are set aside, by patient, where the
            data set has no validation split.
        penalties: Penalties that a linear probe chooses from, on validation.
        num_epochs: lora and full: at most; training stops when validation gets no better. By
            default 20; from scratch 40, or more where that would be fewer than 180 steps.
        patience: lora and full: epochs to wait for a better validation loss, before training stops
            and returns to the best; by default 5. There are 10 evaluations at most, so of more than
            10 epochs the wait is rounded up to the next one. From scratch, by default, training
            goes to the end of its schedule and keeps its last weights: a few validation cases would
            choose at random.
        batch_size: lora and full: cases of a step; by default 8, from scratch 16.
        learning_rate: lora and full: peak; by default 0.001 for lora, 0.0001 for full, 0.002 from
            scratch.
        weight_decay: lora and full: of weights; norms, biases and learnt tokens have none. By
            default 0.05.
        layer_decay: full: factor of the learning rate from each layer to the one before; by default
            0.8, from scratch 1.
        lora_rank: lora: rank of the adapters; by default 8.
        train_batch_norm: full: let batch norms follow the new data, which takes batches of several
            cases. By default so from scratch, where frozen ones would hold the statistics of
            nothing; else they keep those of pre-training, which small batches cannot replace.
        augmentation: lora and full: light turns, shifts, scales and mirrors scans, and shows a
            quarter of the slices of deep ones; sided does not mirror; none leaves them as they are.
            By default light, or sided where a label names a side.
        image_size: Height and width of a slice in pixels; from scratch 96 by default, of a backbone
            its own. A RadDiag model has its own.
        max_slices: The most slices of a scan; from scratch and for a backbone 32 by default.
        threshold_rule: f1-shared: classes with fewer than 10 validation positives share one F1
            threshold. f1: every class with a positive has its own, as in the paper.
        ct_channel_windows: Windows in which CT scans are shown to a backbone, one for each of its
            channels, or one for all: lung, mediastinum and bone, for example. By default all
            channels are the same grey, of the scan's own range.
        ood_score: Whether the model learns how far cases lie from those of the training, which
            `diagnose` then tells; lora and full encode some of the cases once more for it.
        features: attentive-probe: folder that keeps slice features, so that several runs on one
            data set compute them once; by default in the output.
        chunk_size: Slices encoded at once; fewer need less memory.
        device: cpu, cuda or mps; by default the first GPU, where there is one.
        num_workers: Processes that decode cases.
        seed: Of splits, weights and order.

    Raises:
        FinetuneError: If a value is out of its range, or values contradict each other.
    """

    method: Method | None = None
    head: Head = Head.NEW
    fusion: Fusion = Fusion.AUTO
    exclusive: bool | None = None
    label_column: Annotated[str | None, Setting(metavar="NAME")] = None
    validation_fraction: Annotated[float, Setting(above=0, max=0.9)] = 0.125
    penalties: Annotated[tuple[float, ...], Setting(python_only=True)] = PENALTIES
    num_epochs: Annotated[int | None, Setting("--epochs", min=1, metavar="N")] = None
    patience: Annotated[int | None, Setting(min=1, metavar="N")] = None
    batch_size: Annotated[int | None, Setting(min=1, metavar="N")] = None
    learning_rate: Annotated[float | None, Setting(above=0, metavar="LR")] = None
    weight_decay: Annotated[float | None, Setting(min=0, metavar="X")] = None
    layer_decay: Annotated[float | None, Setting(above=0, max=1, metavar="X")] = None
    lora_rank: Annotated[int | None, Setting(min=1, metavar="N")] = None
    train_batch_norm: bool | None = None
    augmentation: Augmentation | None = None
    image_size: Annotated[int | None, Setting(min=16, max=4096, metavar="PIXELS")] = None
    max_slices: Annotated[int | None, Setting(min=1, metavar="N")] = None
    threshold_rule: ThresholdRule = ThresholdRule.F1_SHARED
    ct_channel_windows: Annotated[
        tuple[str, ...] | None, Setting("--ct-window", metavar="NAME")
    ] = None
    ood_score: bool = True
    features: Annotated[Path | None, Setting(metavar="DIR")] = None
    chunk_size: Annotated[int | None, Setting(min=1, metavar="N")] = None
    device: Annotated[str | None, Setting(metavar="NAME")] = None
    num_workers: Annotated[int, Setting("--workers", min=0, metavar="N")] = min(
        4, os.cpu_count() or 1
    )
    seed: Annotated[int, Setting(min=0, below=2**32)] = 0

    def __post_init__(self) -> None:
        check_settings(self, FinetuneError)
        # As recipes have them: text and lists.
        kinds: dict[str, type[StrEnum]] = {
            "method": Method,
            "head": Head,
            "fusion": Fusion,
            "augmentation": Augmentation,
            "threshold_rule": ThresholdRule,
        }
        for name, kind in kinds.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, kind(value))
        object.__setattr__(self, "penalties", tuple(self.penalties))
        if self.ct_channel_windows is not None:
            object.__setattr__(self, "ct_channel_windows", tuple(self.ct_channel_windows))
        if self.features is not None:
            object.__setattr__(self, "features", Path(self.features))
        if not self.penalties or not all(0 < one < math.inf for one in self.penalties):
            raise FinetuneError(f"penalties are {list(self.penalties)}, expected positive numbers")
        if self.method is not None:
            self.check_method(self.method)
        self._check_batch_norms()

    def _check_batch_norms(self) -> None:
        if self.train_batch_norm and self.batch_size == 1:
            raise FinetuneError(
                "batch_size is 1, but batch norms can only be trained on several cases at once"
            )

    def check_method(self, method: Method) -> None:
        """Refuse what was asked for and a method does not use.

        Raises:
            FinetuneError: The message names the option and the methods that use it.
        """
        if method in PROBES and self.head is Head.KNOWLEDGE:
            raise FinetuneError(f"head is knowledge, but the method {method} learns its own head")
        for field, _, setting in setting_fields(FinetuneSettings):
            methods, value = USED_BY.get(field.name), getattr(self, field.name)
            if methods is None or method in methods or value == field.default:
                continue
            option = "".join(f" ({name})" for name in setting.names)
            raise FinetuneError(
                f"{field.name}{option} is {value}, but the method {method} does not use it; "
                f"{' and '.join(methods)} {'does' if len(methods) == 1 else 'do'}"
            )


@dataclass(frozen=True)
class ChosenSettings(FinetuneSettings):
    """Settings without gaps; see `choose_settings`."""

    method: Method = Method.FULL
    num_epochs: int = 20
    batch_size: int = 8
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    layer_decay: float = 0.8
    lora_rank: int = 8
    train_batch_norm: bool = False
    augmentation: Augmentation = Augmentation.NONE

    def __post_init__(self) -> None:
        self._check_batch_norms()

    def hyperparameters(self) -> dict[str, Any]:
        """Return the settings that decide this method's result, as JSON values."""
        of_method = [name for name, methods in USED_BY.items() if self.method in methods]
        of_data = (
            "exclusive",
            "validation_fraction",
            "image_size",
            "max_slices",
            "threshold_rule",
            "ct_channel_windows",
        )
        shared = ("head", "fusion", *of_data, "seed")
        values = asdict(self) | {"penalties": list(self.penalties)}
        if self.ct_channel_windows is not None:
            values["ct_channel_windows"] = list(self.ct_channel_windows)
        return {name: values[name] for name in (*of_method, *shared) if name != "features"}
