"""From a recipe to what the Trainer needs: cases, network, image processor, arguments."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset, Features
from huggingface_hub.errors import StrictDataclassError
from transformers import TrainingArguments

from raddiag_hf.checkpoints.model_source import ModelSourceError
from raddiag_hf.data.builder_error import DataSourceError
from raddiag_hf.data.case import label_columns
from raddiag_hf.data.case_metadata import read_metadata
from raddiag_hf.data.label_agreement import check_model_fits
from raddiag_hf.data.loading import load_dataset
from raddiag_hf.data.training_cases import CasePacker, TrainingCases, count_slices
from raddiag_hf.inference.loading import BROKEN_FILE_ERRORS
from raddiag_hf.knowledge.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.recipe import DataSection, ModelSection, Recipe
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
}
"""What the training relies on; a recipe that says otherwise is refused."""


@dataclass(frozen=True)
class TrainingData:
    """The cases of a recipe.

    Attributes:
        train: Rows to learn from.
        validation: Rows to choose checkpoints and thresholds on, if any.
        features: Columns of both.
        label_column: The label space.
        label_set: Its labels, in column order.
    """

    train: Dataset
    validation: Dataset | None
    features: Features
    label_column: str
    label_set: LabelSet


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
    if values.get("use_cpu") and "WORLD_SIZE" in os.environ:
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
        return TrainingArguments(
            **{**values, **FIXED_ARGUMENTS, "output_dir": recipe.output},
            accelerator_config={**accelerator, **(given.get("accelerator_config") or {})},
        )
    except (ValueError, TypeError, ImportError) as error:
        raise RecipeError(f"training: {' '.join(str(error).split())}") from None


def load_training_data(section: DataSection) -> TrainingData:
    """Load the splits of a recipe; no pixel is decoded.

    Raises:
        RecipeError: If no data set is named, or the label column is not clear.
        OSError, DataSourceError: As `load_dataset`.
    """
    if section.dataset is None:
        raise RecipeError("data.dataset is missing: name a folder, a builder or a Hub id")
    splits: dict[str, Dataset] = {}
    for split in filter(None, (section.train_split, section.validation_split)):
        try:
            splits[split] = load_dataset(
                section.dataset,
                section.name,
                data_dir=section.data_dir,
                split=split,
                **section.options,
            )
        except DataSourceError:
            raise
        except ValueError as error:
            raise RecipeError(f"data: {' '.join(str(error).split())}") from None
    train = splits[section.train_split]
    columns = label_columns(train.features)
    column = section.label_column
    if column is None and len(columns) == 1:
        column = next(iter(columns))
    if column not in columns:
        raise RecipeError(
            f"data.label_column is {column!r}, expected one of {', '.join(sorted(columns))}"
        )
    return TrainingData(
        train=train,
        validation=splits.get(section.validation_split or ""),
        features=train.features,
        label_column=column,
        label_set=LabelSet(tuple(columns[column].names)),
    )


def build_config(section: ModelSection, label_set: LabelSet) -> RadDiagConfig:
    """Return the configuration of a network from random weights.

    Raises:
        RecipeError: If a field is unknown or refused.
    """
    _check_config_fields(section.config)
    labels = {
        "id2label": label_set.id2label,
        "label2id": label_set.label2id,
        "label_set_fingerprint": label_set.fingerprint,
        "freeze_batch_norm": section.batch_norm == "frozen",
    }
    try:
        return RadDiagConfig.from_preset(section.preset, **{**labels, **section.config})
    except (ValueError, StrictDataclassError) as error:
        raise RecipeError(f"model: {' '.join(str(error).split())}") from None


def build_model(section: ModelSection, data: TrainingData) -> RadDiagForImageClassification:
    """Return the network, random weights drawn from torch's global generator or those saved.

    Raises:
        RecipeError: If the section contradicts itself.
        ModelSourceError: If a checkpoint cannot be read.
        LabelMismatchError: If a checkpoint's labels are not those of the data.
    """
    if section.checkpoint is None:
        model = RadDiagForImageClassification(build_config(section, data.label_set))
    else:
        _check_config_fields(section.config)
        overrides = {**section.config, "freeze_batch_norm": section.batch_norm == "frozen"}
        model = _read_checkpoint(section.checkpoint, overrides)
    check_model_fits(model.config, data.features, data.label_column)
    if section.batch_norm == "synchronised":
        if not torch.cuda.is_available():
            raise RecipeError("model.batch_norm is 'synchronised', which needs GPUs")
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return model


def build_processor(section: ModelSection, config: RadDiagConfig) -> RadDiagImageProcessor:
    """Return the image processor: the checkpoint's, or one of the network's sizes.

    Raises:
        RecipeError: If an option is unknown or refused.
        ModelSourceError: If the checkpoint has none that can be read.
    """
    if section.checkpoint is not None:
        try:
            return RadDiagImageProcessor.from_pretrained(section.checkpoint, **section.processor)
        except BROKEN_FILE_ERRORS as error:
            raise ModelSourceError(
                f"{section.checkpoint}: its image processor: {' '.join(str(error).split())}"
            ) from None
    sizes = {"image_size": config.image_size, "max_slices": config.max_slices}
    try:
        return RadDiagImageProcessor(**{**sizes, **section.processor})
    except (ValueError, TypeError) as error:
        raise RecipeError(f"model.processor: {' '.join(str(error).split())}") from None


def slices_of(cases: Dataset, max_slices: int) -> Sequence[int]:
    """Return how many slices of each case are encoded; no pixel is decoded."""
    metadata = read_metadata({"train": cases})
    counts = count_slices(metadata.scan_cases, metadata.scan_depths, len(metadata), max_slices)
    return [int(count) for count in counts]


def pack_cases(
    cases: Dataset, data: TrainingData, processor: RadDiagImageProcessor
) -> TrainingCases:
    """Return cases as the Trainer reads them, packed where its workers run."""
    return TrainingCases(cases, CasePacker(data.features, processor, data.label_column))


def _read_checkpoint(
    checkpoint: str, overrides: Mapping[str, Any]
) -> RadDiagForImageClassification:
    """Read a saved model, refusing one whose weights are not all there: the rest would be noise."""
    try:
        model, report = RadDiagForImageClassification.from_pretrained(
            checkpoint,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            **overrides,
        )
    except (*BROKEN_FILE_ERRORS, StrictDataclassError) as error:
        raise ModelSourceError(f"{checkpoint}: {' '.join(str(error).split())}") from None
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if absent:
        raise ModelSourceError(
            f"{checkpoint}: {len(absent)} tensors are missing or of another shape than the "
            f"configuration says, the first is {absent[0]}"
        )
    return model


def _check_config_fields(fields: Mapping[str, Any]) -> None:
    known = set(RadDiagConfig().to_dict()) - {"model_type", "transformers_version"}
    for name in fields:
        if name not in known:
            hint = nearest_name(name, known, "model.config.")
            raise RecipeError(f"there is no model.config.{name}{hint}")
