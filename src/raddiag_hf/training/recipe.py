"""The recipe of a training: what to train, on what, and how, as a YAML file and overrides."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raddiag_hf.training.finetune_settings import FinetuneSettings
from raddiag_hf.training.recipe_file import (
    RecipeError,
    merge,
    nearest_name,
    parse_overrides,
    read_mapping,
)
from raddiag_hf.training.value_types import check_types

RECIPES = Path(__file__).parent / "recipes"
"""The recipes that ship with the package, ``<name>.yaml``."""
BATCH_NORMS = ("frozen", "local", "synchronised")

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


@dataclass(frozen=True)
class DataSection:
    """Which cases.

    Attributes:
        dataset: As `load_dataset` takes it: a folder, the name of a builder, or a Hub id.
        name: Configuration, where there are several.
        data_dir: For builders: what was downloaded from the publisher.
        options: For builders: fields of their configuration.
        label_column: The label space; None where the data set has only one.
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
            those of the data.
        config: Fields of `RadDiagConfig` that replace those of preset or checkpoint.
        processor: Options of `RadDiagImageProcessor`; sizes come from the configuration.
        text_encoder: The text encoder by which a ``knowledge`` classifier reads the label names of
            the data, a folder or Hub id; ``config.label_embedding_size`` is its width unless named.
            A checkpoint that has its label texts needs none; with one, its labels need not be those
            of the data.
        batch_norm: ``frozen``: stored statistics are used and kept, so that a case's gradient does
            not depend on its batch, on chunks or on the number of processes; for training from a
            checkpoint. ``local``: statistics of each process's own slices, as the paper trained;
            cannot be chunked. ``synchronised``: statistics over all processes, on GPUs only;
            cannot be chunked.
    """

    preset: str = "raddiag"
    checkpoint: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    processor: dict[str, Any] = field(default_factory=dict)
    text_encoder: str | None = None
    batch_norm: str = "local"

    def __post_init__(self) -> None:
        if self.batch_norm not in BATCH_NORMS:
            raise RecipeError(
                f"model.batch_norm is {self.batch_norm!r}, expected one of {', '.join(BATCH_NORMS)}"
            )


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
        finetune: Fields of `FinetuneSettings`: adapt ``model.checkpoint`` to the stored data set
            ``data.dataset`` as ``raddiag finetune`` does, with ``model.text_encoder`` where a
            knowledge head reads new names; the other sections stay empty.
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
    from raddiag_hf.imaging.augmentation import ScanAugmentation

    _refuse_unknown(content, _field_names(Recipe), "")
    training = content.get("training") or {}
    _check_keys(training, _field_names(TrainingArguments), "training")
    if "output_dir" in training:
        raise RecipeError("training.output_dir: the folder of a training is named by output")
    check_types(TrainingArguments, training, "training")
    loss = content.get("loss") or {}
    _check_keys(loss, LOSS_FIELDS, "loss")
    augmentation = content.get("augmentation")
    if augmentation is not None:
        _check_keys(augmentation, _field_names(CaseAugmentation), "augmentation")
        check_types(CaseAugmentation, augmentation, "augmentation")
        of_scans = augmentation.get("scan_augmentation") or {}
        _check_keys(of_scans, _field_names(ScanAugmentation), "augmentation.scan_augmentation")
        check_types(ScanAugmentation, of_scans, "augmentation.scan_augmentation")
    output = content.get("output", Recipe.output)
    if not isinstance(output, str) or not output:
        raise RecipeError(f"output is {output!r}, expected a folder")
    data = _section(DataSection, content.get("data"), "data")
    model = _section(ModelSection, content.get("model"), "model")
    if content.get("finetune") is not None:
        _refuse_unused(data, "data", "dataset")
        _refuse_unused(model, "model", "checkpoint", "text_encoder")
    return Recipe(
        data=data,
        model=model,
        augmentation=augmentation,
        loss=loss,
        training=training,
        finetune=_finetune_section(content),
        output=output,
    )


def _finetune_section(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    section: Mapping[str, Any] | None = content.get("finetune")
    if section is None:
        return None
    _check_keys(section, _field_names(FinetuneSettings), "finetune")
    if "method" not in section:
        raise RecipeError("finetune.method is missing")
    for name in ("augmentation", "loss", "training"):
        if content.get(name):
            raise RecipeError(f"{name}: a recipe with a finetune section takes all settings there")
    return section


def _refuse_unused(section: DataSection | ModelSection, name: str, *used: str) -> None:
    """Refuse what fine-tuning would not read; defaults, which `Recipe.to_dict` names, may stay."""
    untouched = type(section)()
    for key in sorted(_field_names(type(section)).difference(used)):
        if getattr(section, key) != getattr(untouched, key):
            hint = ""
            if key in _field_names(FinetuneSettings):
                hint = f"; did you mean finetune.{key}?"
            raise RecipeError(
                f"{name}.{key}: a recipe with a finetune section reads {name}.{used[0]} alone{hint}"
            )


def _section(kind: Any, content: Any, name: str) -> Any:
    content = content or {}
    _check_keys(content, _field_names(kind), name)
    check_types(kind, content, name)
    return kind(**content)


def _field_names(kind: Any) -> frozenset[str]:
    return frozenset(one.name for one in dataclasses.fields(kind))


def _check_keys(content: Any, known: frozenset[str], name: str) -> None:
    if not isinstance(content, Mapping):
        raise RecipeError(f"{name} is {content!r}, expected keys and values")
    _refuse_unknown(content, known, f"{name}.")


def _refuse_unknown(content: Mapping[str, Any], known: frozenset[str], prefix: str) -> None:
    for key in content:
        if key not in known:
            raise RecipeError(f"there is no {prefix}{key}{nearest_name(str(key), known, prefix)}")
