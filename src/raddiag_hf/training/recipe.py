"""The recipe of a training: what to train, on what, and how, as a YAML file and overrides."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from raddiag_hf.core.settings import Setting, check_value, setting_fields
from raddiag_hf.training.finetune_settings import FinetuneSettings
from raddiag_hf.training.recipe_file import (
    RecipeError,
    check_for_tokens,
    merge,
    nearest_name,
    parse_overrides,
    read_mapping,
)

RECIPES = Path(__file__).parent / "recipes"
"""The recipes that ship with the package, ``<name>.yaml``."""

LOSS_FIELDS = frozenset(
    {
        "key_slice_loss_weight",
        "classification_loss",
        "focal_gamma",
        "focal_alpha",
        "asymmetric_gamma_positive",
        "asymmetric_gamma_negative",
        "asymmetric_margin",
        "class_balanced_beta",
        "logit_adjustment_strength",
    }
)

RANGES: Mapping[str, Setting] = {
    "per_device_train_batch_size": Setting(min=1),
    "per_device_eval_batch_size": Setting(min=1),
    "gradient_accumulation_steps": Setting(min=1),
    "save_total_limit": Setting(min=1),
    "dataloader_num_workers": Setting(min=0),
    "num_train_epochs": Setting(above=0),
    "seed": Setting(min=0, below=2**32),
    "data_seed": Setting(min=0, below=2**32),
    "learning_rate": Setting(min=0),
    "weight_decay": Setting(min=0),
    "max_grad_norm": Setting(min=0),
    "adam_beta1": Setting(min=0, below=1),
    "adam_beta2": Setting(min=0, below=1),
    "adam_epsilon": Setting(min=0),
}
"""Arguments that transformers takes out of range, to fail later with a traceback."""


@dataclass(frozen=True)
class DataSection:
    """Which cases.

    Attributes:
        dataset: As `load_dataset` takes it: a folder, the name of a builder, or a Hub id.
        name: Configuration, where there are several.
        data_dir: For builders: what was downloaded from the publisher.
        options: For builders: fields of their configuration.
        label_column: The label space: a column, such as ``icd10``, or ``disorders:200`` for the 200
            labels of one with the most training cases; None where the data set has only one.
        train_split: Cases to learn from; ``train[:10%]`` is a tenth of them.
        validation_split: Cases to choose checkpoint and thresholds on; None for neither.
        test_split: Cases to evaluate the finished model on, where the data set has such a split;
            None for no evaluation.
        repeat_threshold: Cases with labels rarer than this share are repeated; see
            `repeat_factors`. None: every case comes once.
    """

    dataset: str | None = None
    name: str | None = None
    data_dir: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    label_column: str | None = None
    train_split: str = "train"
    validation_split: str | None = "validation"
    test_split: str | None = "test"
    repeat_threshold: float | None = None


@dataclass(frozen=True)
class ModelSection:
    """Which network.

    Attributes:
        preset: The network to start from random weights; see `RadDiagConfig.from_preset`.
        checkpoint: The saved model to start from instead, a folder or Hub id; its labels must be
            those of the data. With a ``finetune`` section also ``backbone:`` and folder or Hub id
            of a vision backbone, or ``scratch``, a small network with random weights.
        backbone_weights: Weights with torchvision's names (ImageNet, RadImageNet) that the ResNet
            of a new network starts from: a file, a folder or a Hub id; see `torchvision_tensors`.
        config: Fields of `RadDiagConfig` that replace those of preset or checkpoint.
        processor: Options of `RadDiagImageProcessor`; sizes come from the configuration.
        text_encoder: The text encoder by which a ``knowledge`` classifier reads the label names of
            the data, a folder or Hub id; ``config.label_embedding_size`` is its width unless named.
            A checkpoint that has its label texts needs none; with one, its labels need not be those
            of the data.
        batch_norm: ``frozen``: stored statistics are used and kept, so that a case's gradient does
            not depend on its batch, on chunks or on the number of processes; for training from a
            checkpoint. ``local``: statistics of each process's own slices, as the paper trained;
            in chunks, of each chunk's, to which the slices of all scans are dealt in turn.
            ``synchronised``: statistics over all processes, on GPUs only;
            cannot be chunked.
        ood_score: Whether the model learns how far cases lie from those of the training, which
            `diagnose_case` then tells; some of the cases are encoded once more for it.
    """

    preset: str = "raddiag"
    checkpoint: str | None = None
    backbone_weights: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)
    text_encoder: str | None = None
    batch_norm: Literal["frozen", "local", "synchronised"] = "local"
    ood_score: bool = True


@dataclass(frozen=True)
class Recipe:
    """A whole training, checked for unknown names; `load_recipe` makes one.

    Attributes:
        data: Which cases.
        model: Which network.
        augmentation: Fields of `CaseAugmentation`, in ``scan_augmentation`` those of
            `ScanAugmentation`. A probability that is not named is 0, and scans are shuffled only
            where that is named; None for no augmentation.
        loss: The fields of `RadDiagConfig` in `LOSS_FIELDS`.
        training: Fields of `transformers.TrainingArguments`, under their own names.
        finetune: Fields of `FinetuneSettings`: adapt ``model.checkpoint`` to the data set of
            ``data.dataset``, ``name``, ``data_dir`` and ``options`` as ``raddiag finetune`` does,
            with ``model.text_encoder`` where a knowledge head reads new names; the other sections
            stay empty.
        output: Folder of checkpoints, logs and the trained model.
    """

    data: DataSection = field(default_factory=DataSection)
    model: ModelSection = field(default_factory=ModelSection)
    augmentation: Mapping[str, Any] | None = None
    loss: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    finetune: Mapping[str, Any] | None = None
    output: str = "raddiag-training"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `load_recipe` reads back, once written as YAML."""
        return dataclasses.asdict(self)


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Args:
        name: A YAML file, or one of `recipe_names`.
        overrides: ``section.key=value``, the value in YAML: ``training.learning_rate=1e-4``.

    Raises:
        RecipeError: If there is no such recipe, a name is unknown (the message has the nearest
            known one), or a value is of the wrong type.

    Example:
        >>> load_recipe("pretrain", ["output=run-1"]).training["learning_rate"]
        1e-05
    """
    path = Path(name)
    if str(name) in recipe_names():
        path = RECIPES / f"{name}.yaml"
    elif not path.is_file():
        raise RecipeError(
            f"{name}: no such file, and not one of the recipes {', '.join(recipe_names())}"
        )
    content = read_mapping(path)
    for key, value in parse_overrides(overrides):
        content = merge(content, key.split("."), value, key)
    return recipe_from_dict(content)


def recipe_from_dict(content: Mapping[str, Any]) -> Recipe:
    """Return the recipe of plain data, such as a YAML file holds.

    Raises:
        RecipeError: As `load_recipe`.
    """
    from transformers import TrainingArguments  # these take seconds to import, and only here

    from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
    from raddiag_hf.model.image_processing_raddiag import OPTIONS

    _check_names(content, [one.name for one in dataclasses.fields(Recipe)], "")
    check_for_tokens(content)
    given = {name: value for name, value in content.items() if value is not None}
    if "output_dir" in given.get("training", {}):
        raise RecipeError("training.output_dir: the folder of a training is named by output")
    kinds = {
        "data": DataSection,
        "model": ModelSection,
        "augmentation": CaseAugmentation,
        "training": TrainingArguments,
        "finetune": FinetuneSettings,
    }
    for name, kind in kinds.items():
        if name in given:
            _check_section(given[name], kind, name)
    _check_names(given.get("loss", {}), LOSS_FIELDS, "loss")
    _check_names((given.get("model") or {}).get("processor", {}), OPTIONS, "model.processor")
    output = content.get("output", Recipe.output)
    if not isinstance(output, str) or not output.strip():
        raise RecipeError(f"output is {output!r}, expected a folder")
    recipe = Recipe(
        **given
        | {
            "data": DataSection(**given.get("data", {})),
            "model": ModelSection(**given.get("model", {})),
        }
    )
    if recipe.finetune is not None:
        _check_finetuning(recipe)
    return recipe


def _check_section(content: Any, kind: type, section: str) -> None:
    """Refuse what is not a field of a dataclass, or not of its type or range."""
    fields = {field.name: (hint, setting) for field, hint, setting in setting_fields(kind)}
    _check_names(content, fields, section)
    for key, value in content.items():
        name = f"{section}.{key}"
        hint, setting = fields[key]
        if section == "training":
            setting = RANGES.get(key, setting)
        check_value(name, value, hint, setting, RecipeError)
        record = next(filter(dataclasses.is_dataclass, (hint, *get_args(hint))), None)
        if isinstance(record, type) and value is not None:
            _check_section(value, record, name)


def _check_names(content: Any, known: Collection[str], section: str) -> None:
    if not isinstance(content, Mapping):
        raise RecipeError(f"{section} is {content!r}, expected keys and values")
    prefix = f"{section}." if section else ""
    for key in content:
        if key not in known:
            raise RecipeError(f"there is no {prefix}{key}{nearest_name(str(key), known, prefix)}")


def _check_finetuning(recipe: Recipe) -> None:
    """Refuse what fine-tuning would not read; defaults, which `Recipe.to_dict` names, may stay."""
    if "method" not in (recipe.finetune or {}):
        raise RecipeError("finetune.method is missing")
    for name in ("augmentation", "loss", "training"):
        if getattr(recipe, name):
            raise RecipeError(f"{name}: a recipe with a finetune section takes all settings there")
    settings = {one.name for one in dataclasses.fields(FinetuneSettings)}
    sections: tuple[tuple[str, Any, set[str]], ...] = (
        ("data", recipe.data, {"dataset", "name", "data_dir", "options"}),
        ("model", recipe.model, {"checkpoint", "text_encoder"}),
    )
    for name, section, used in sections:
        untouched = type(section)()
        for key in sorted({one.name for one in dataclasses.fields(section)} - used):
            if getattr(section, key) != getattr(untouched, key):
                hint = f"; did you mean finetune.{key}?" if key in settings else ""
                raise RecipeError(
                    f"{name}.{key}: of {name}, a recipe with a finetune section reads "
                    f"{', '.join(sorted(used))} alone{hint}"
                )
