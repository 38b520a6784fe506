"""From a recipe to the Trainer's arguments and the augmentation of its cases."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations

from raddiag_hf.core.errors import one_line
from raddiag_hf.core.processes import has_launcher
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.imaging.augmentation import ScanAugmentation
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.recipe_file import RecipeError, nearest_name

DEFAULT_ARGUMENTS: Mapping[str, Any] = {
    "optim": "adamw_torch",
    "lr_scheduler_type": "cosine",
    "report_to": ["tensorboard"],
    "save_strategy": "epoch",
    "save_total_limit": 2,
    "logging_steps": 10,
}
"""Where a recipe says nothing and we would not say what transformers says."""
FIXED_ARGUMENTS: Mapping[str, Any] = {
    "remove_unused_columns": False,  # cases are packed, not columns
    "logging_nan_inf_filter": False,  # a NaN ends the training
    "auto_find_batch_size": False,  # steps would hold other cases after a failure
    "train_sampling_strategy": "random",  # replaced by steps balanced by slices
    "save_only_model": False,  # no training could resume from it
    "ignore_data_skip": False,  # a resumed run would learn from cases again
}
"""What the training relies on; a recipe that says otherwise is refused."""
NO_AUGMENTATION: Mapping[str, Any] = {
    "scan_augmentation": None,
    "key_slice_probability": 0.0,
    "mixing_probability": 0.0,
    "scan_drop_probability": 0.0,
    "shuffle_scans": False,
}
NO_SCAN_AUGMENTATION: Mapping[str, float] = {
    "noise_probability": 0.0,
    "contrast_probability": 0.0,
    "affine_probability": 0.0,
    "elastic_probability": 0.0,
}
"""What a recipe does not name is off: one more augmentation must not bring others with it."""
METRICS = frozenset({"loss", "auc", "ap", "evaluated_labels"})
"""What an evaluation of validation cases gives, and a best checkpoint can be chosen by."""


def training_arguments(recipe: Recipe) -> TrainingArguments:
    """Return the Trainer's arguments.

    Raises:
        RecipeError: If a value is refused by transformers, or is one that the training relies on.
    """
    given = dict(recipe.training)
    for name, value in FIXED_ARGUMENTS.items():
        if given.get(name, value) != value:
            raise RecipeError(f"training.{name} is {given[name]!r}, but has to be {value!r}")
    values = {**DEFAULT_ARGUMENTS, "dataloader_pin_memory": torch.cuda.is_available(), **given}
    if has_launcher():
        if not torch.cuda.is_available():
            values["use_cpu"] = True
        if values.get("use_cpu"):
            values.setdefault("ddp_backend", "gloo")
    if recipe.data.validation_split is not None:
        values = {
            "eval_strategy": values["save_strategy"],
            "load_best_model_at_end": values["save_strategy"] != "no",
            "metric_for_best_model": "auc",
            "greater_is_better": True,
            **values,
        }
    accelerator = {"dispatch_batches": False, "split_batches": False}
    try:
        args = TrainingArguments(
            **{**values, **FIXED_ARGUMENTS, "output_dir": recipe.output},
            accelerator_config={**accelerator, **(given.get("accelerator_config") or {})},
        )
    except (ValueError, TypeError, ImportError) as error:
        raise RecipeError(f"training: {one_line(error)}") from None
    _check_names(args)
    return args


def _check_names(args: TrainingArguments) -> None:
    """Refuse a metric or a log that the Trainer would miss later, the metric after an epoch."""
    metric = args.metric_for_best_model
    if metric is not None and metric.removeprefix("eval_") not in METRICS:
        raise RecipeError(
            f"training.metric_for_best_model is {metric!r}{nearest_name(metric, METRICS)}"
        )
    installed = get_available_reporting_integrations()
    for name in args.report_to:
        if name not in installed:
            raise RecipeError(
                f"training.report_to is {name!r}, expected none or what is installed: "
                f"{', '.join(installed)}"
            )


def build_augmentation(recipe: Recipe) -> CaseAugmentation | None:
    """Return how training cases are changed at random.

    Raises:
        RecipeError: If a value is refused.
    """
    if recipe.augmentation is None:
        return None
    values = {**NO_AUGMENTATION, **recipe.augmentation}
    try:
        if (of_scans := values["scan_augmentation"]) is not None:
            pairs: dict[str, Any] = {
                key: tuple(one) if isinstance(one, list) else one for key, one in of_scans.items()
            }
            values["scan_augmentation"] = ScanAugmentation(**{**NO_SCAN_AUGMENTATION, **pairs})
        return CaseAugmentation(**values)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"augmentation: {one_line(error)}") from None
