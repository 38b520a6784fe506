"""From a training of a grid to its recipe, and to the folder that it has on a disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import fingerprint
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.presets import PRESETS
from raddiag_hf.reproduce.grids import Training
from raddiag_hf.reproduce.scales import Scale
from raddiag_hf.training.recipe import Recipe, load_recipe, recipe_from_dict
from raddiag_hf.training.recipe_file import merge, parse_overrides
from raddiag_hf.training.train import HARMLESS_ARGUMENTS

CASES_PER_STEP = 8
"""As the recipe ``pretrain``; the paper has 4 to 32."""
_WIDTHS = ("hidden_size", "intermediate_size", "resnet_width")
_OF_PLACE = ("dataset", "data_dir")


def grid_recipe(
    training: Training,
    scale: Scale,
    *,
    dataset: str | None = None,
    text_encoder: str | None = None,
    backbone_weights: Path | None = None,
    seed: int = 0,
    num_processes: int = 1,
    overrides: Sequence[str] = (),
) -> Recipe:
    """Return the recipe of a training; its ``output`` is to be replaced.

    Args:
        training: Of a grid.
        scale: How much of the paper's schedule is done.
        dataset: Folder or Hub id of the cases; None where it is only planned.
        text_encoder: Reads label names for the trainings that need it.
        backbone_weights: Folder of weights that ResNets start from, by their depths.
        seed: Of weights and of the order of cases.
        num_processes: Devices that train together: accumulation keeps the cases of a step.
        overrides: Changes by the user, ``section.key=value``, the last word.

    Raises:
        RecipeError: If an override is none.
        InputError: If the devices' cases do not make whole steps, or the folder has not one file
            for the depth of the ResNet.
    """
    content = load_recipe("pretrain").to_dict()
    changes: dict[str, Any] = {
        "data.dataset": dataset,
        "data.label_column": training.label_column,
        "model.preset": training.preset,
        "model.config": _config(training, scale),
        "model.text_encoder": text_encoder if training.reads_labels else None,
        "model.backbone_weights": _weights_file(training, backbone_weights),
        "training.seed": seed,
        **{f"augmentation.{name}": value for name, value in training.augmentation.items()},
        **{f"training.{name}": value for name, value in scale.training.items()},
    }
    given = list(parse_overrides(overrides))
    for key, value in [*changes.items(), *given]:
        content = merge(content, key.split("."), value, key)
    if "training.gradient_accumulation_steps" not in dict(given):
        batch = content["training"]["per_device_train_batch_size"] * num_processes
        if CASES_PER_STEP % batch:
            raise InputError(
                f"{num_processes} processes take {batch} cases at once, which do not make steps of "
                f"{CASES_PER_STEP}; set training.gradient_accumulation_steps"
            )
        content["training"]["gradient_accumulation_steps"] = CASES_PER_STEP // batch
    return recipe_from_dict(content)


def run_name(training: Training, recipe: Recipe) -> str:
    """Return the name of the folder of a training: equal where the training is.

    Tables share a training by it. Where the data lie and how many workers read them is not in it.
    """
    content = recipe.to_dict()
    del content["output"]
    content["data"] = {
        name: value for name, value in content["data"].items() if name not in _OF_PLACE
    }
    if (weights := recipe.model.backbone_weights) is not None:
        content["model"]["backbone_weights"] = Path(weights).name
    content["training"] = {
        name: value for name, value in recipe.training.items() if name not in HARMLESS_ARGUMENTS
    }
    return f"{training.name}-seed{recipe.training['seed']}-{fingerprint(content)[:10]}"


def _weights_file(training: Training, folder: Path | None) -> str | None:
    """Return the file of weights for a network's ResNet, of a stem and a trunk for the trunk."""
    fields = RadDiagConfig().to_dict() | PRESETS[training.preset]
    if folder is None or fields["encoder_type"] == "vit":
        return None
    depth = fields["resnet_depth"]
    files = sorted(folder.glob(f"resnet{depth}[!0-9]*"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise InputError(
            f"{folder}: expected one file resnet{depth}* for {training.preset}, found {found}"
        )
    return str(files[0])


def _config(training: Training, scale: Scale) -> Mapping[str, Any]:
    """Return the fields of the configuration that differ from the preset's."""
    found = dict(training.config)
    of_preset = RadDiagConfig().to_dict() | PRESETS[training.preset] | found
    divisors = {"image_size": scale.image_divisor, "max_slices": scale.depth_divisor}
    divisors |= dict.fromkeys(_WIDTHS, scale.width_divisor)
    for name, divisor in divisors.items():
        if divisor > 1:
            found[name] = of_preset[name] // divisor
    if scale.width_divisor > 1:
        found["initializer_range"] = found["hidden_size"] ** -0.5  # 0.02 stalls narrow tokens
    return found
