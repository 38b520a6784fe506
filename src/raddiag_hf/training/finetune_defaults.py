"""What a fine-tuning does where nobody said: settings by start and data.

The values were found on the data sets of `benchmarks/real_data.py`, whose test cases are therefore
no independent measure of them; none of the values is the best on each.
"""

import re
from collections.abc import Sequence
from typing import Any

from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.training.finetune_settings import (
    Augmentation,
    ChosenSettings,
    FinetuneError,
    FinetuneSettings,
    Method,
    Start,
)
from raddiag_hf.vocabulary import Split

METHOD_OF_START = {
    Start.SCRATCH: Method.FULL,
    Start.BACKBONE: Method.ATTENTIVE_PROBE,
    Start.MODEL: Method.LINEAR_PROBE,
}
SCRATCH_EPOCHS, SCRATCH_STEPS, SCRATCH_BATCH = 40, 180, 16
"""From scratch: passes over the data, the fewest steps that these should make, cases of a step."""
IMAGE_SIZE, MAX_SLICES = 96, 32
SIDE = re.compile(
    r"(?:^|[^A-Za-z])(?i:left|right|lt|rt|links|rechts|situs)(?![a-z])"
    r"|(?i:dextro|levo|laevo)|(?:^|[^A-Za-z])[LR](?:[ULM]L)?(?![A-Za-z])"
)
"""What a mirrored scan would teach the wrong way round."""


def choose_settings(settings: FinetuneSettings, start: Start, data: CaseSplits) -> ChosenSettings:
    """Return settings without gaps.

    Args:
        settings: As asked for; what is None is chosen.
        start: What the training starts from.
        data: The cases to learn from.

    Raises:
        FinetuneError: If what was asked for does not suit the start.
    """
    method = settings.method or METHOD_OF_START[start]
    if start is Start.SCRATCH and method is not Method.FULL:
        raise FinetuneError(
            f"method is {method}, but random weights can only be trained as a whole: name a model "
            "or a backbone to start from, or choose full"
        )
    settings.check_method(method)
    if start is Start.MODEL:
        for name in ("image_size", "max_slices"):
            if getattr(settings, name) is not None:
                raise FinetuneError(
                    f"{name} is {getattr(settings, name)}, but a RadDiag model has its own"
                )
    if settings.ct_channel_windows is not None and start is not Start.BACKBONE:
        raise FinetuneError(
            f"ct_channel_windows is {list(settings.ct_channel_windows)}, which only a backbone "
            "takes: a RadDiag model has its own image processor, and a network from scratch one "
            "channel"
        )
    _check_exclusive(settings, data)
    chosen: dict[str, Any] = {"method": method}
    if start is not Start.MODEL:  # whose classifier may be kept; see `plan_adaptation`
        chosen["exclusive"] = data.is_exclusive
    if start is Start.SCRATCH:
        chosen |= _from_scratch(settings, len(data[Split.TRAIN]))
        chosen["augmentation"] = _augmentation(data.label_set.names)
    elif method in (Method.FULL, Method.LORA):
        chosen |= {
            "patience": 5,
            "learning_rate": 1e-3 if method is Method.LORA else 1e-4,
            "augmentation": _augmentation(data.label_set.names),
        }
    asked = {name: value for name, value in vars(settings).items() if value is not None}
    return ChosenSettings(**chosen | asked)


def _check_exclusive(settings: FinetuneSettings, data: CaseSplits) -> None:
    if settings.exclusive and not data.is_exclusive:
        raise FinetuneError(
            f"exclusive is True, but {data.location} has cases with no label or several, or of "
            "unknown ones, or one label in all"
        )


def _from_scratch(settings: FinetuneSettings, num_cases: int) -> dict[str, Any]:
    batch_size = settings.batch_size or _even_batch(num_cases)
    steps = -(-num_cases // batch_size)
    return {
        "num_epochs": max(SCRATCH_EPOCHS, -(-SCRATCH_STEPS // steps)),
        "patience": None,
        "batch_size": batch_size,
        "learning_rate": 2e-3,
        "layer_decay": 1.0,
        "train_batch_norm": True,
        "image_size": IMAGE_SIZE,
        "max_slices": MAX_SLICES,
    }


def _augmentation(label_names: Sequence[str]) -> Augmentation:
    is_sided = any(SIDE.search(name) for name in label_names)
    return Augmentation.SIDED if is_sided else Augmentation.LIGHT


def _even_batch(num_cases: int) -> int:
    """Return the fewest cases of a step by which an epoch's last step is two thirds full.

    Batch norms take a step of one case for as much as a full one.
    """
    sizes = range(SCRATCH_BATCH, SCRATCH_BATCH + SCRATCH_BATCH // 2)
    fill = {size: (num_cases % size or size) / size for size in sizes}
    return next((size for size in sizes if fill[size] >= 2 / 3), max(sizes, key=fill.__getitem__))
