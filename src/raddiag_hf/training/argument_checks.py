"""Values of `transformers.TrainingArguments` that it takes, but that no training can follow."""

import math
from collections.abc import Mapping
from typing import Any

from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations

from raddiag_hf.training.recipe_file import RecipeError, nearest_name

METRICS = frozenset({"loss", "auc", "ap", "evaluated_labels"})
"""What an evaluation of validation cases gives, and a best checkpoint can be chosen by."""
RANGES: Mapping[str, tuple[float, float]] = {
    "per_device_train_batch_size": (1, math.inf),
    "per_device_eval_batch_size": (1, math.inf),
    "gradient_accumulation_steps": (1, math.inf),
    "save_total_limit": (1, math.inf),
    "dataloader_num_workers": (0, math.inf),
    "seed": (0, 2**32),
    "data_seed": (0, 2**32),
    "learning_rate": (0, math.inf),
    "weight_decay": (0, math.inf),
    "max_grad_norm": (0, math.inf),
    "warmup_steps": (0, math.inf),
    "adam_beta1": (0, 1),
    "adam_beta2": (0, 1),
    "adam_epsilon": (0, math.inf),
}
"""The least value, and the one that all are below."""


def check_ranges(values: Mapping[str, Any]) -> None:
    """Check the arguments that a recipe gives before transformers works with them.

    Raises:
        RecipeError: If one is out of its range.
    """
    for name, (least, bound) in RANGES.items():
        value = values.get(name)
        if value is not None and not least <= value < bound:
            below = "" if bound == math.inf else f" and below {bound}"
            raise RecipeError(f"training.{name} is {value!r}, expected at least {least}{below}")
    epochs = values.get("num_train_epochs", 1)
    if not 0 < epochs < math.inf and values.get("max_steps", -1) <= 0:
        raise RecipeError(f"training.num_train_epochs is {epochs!r}, expected more than 0")


def check_names(args: TrainingArguments) -> None:
    """Check what the Trainer would only miss later, some of it after hours.

    Raises:
        RecipeError: If the metric of the best checkpoint is none, or a log is none that is
            installed.
    """
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
