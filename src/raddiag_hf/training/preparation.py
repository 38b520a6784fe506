"""From a recipe to what the Trainer needs: cases, network, image processor, arguments."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features
from huggingface_hub.errors import StrictDataclassError
from numpy.typing import NDArray
from transformers import TrainingArguments

from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.data.batches.repeat_factors import repeat_factors
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases, count_slices
from raddiag_hf.data.label_agreement import check_model_fits
from raddiag_hf.data.publishers.builder_error import DataSourceError
from raddiag_hf.data.publishers.loading import load_dataset
from raddiag_hf.data.store.case import label_columns
from raddiag_hf.data.store.case_metadata import CaseMetadata, read_metadata
from raddiag_hf.imaging.augmentation import ScanAugmentation
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.argument_checks import check_names, check_ranges
from raddiag_hf.training.recipe import LOSS_FIELDS, DataSection, ModelSection, Recipe
from raddiag_hf.training.recipe_file import RecipeError, nearest_name
from raddiag_hf.training.recipe_label_texts import give_label_texts

RP3D_DISORDERS = 5569

CHANGEABLE_FIELDS = frozenset(
    {"encoder_chunk_size", "freeze_batch_norm", "train_label_counts", "num_train_cases"}
)
"""Fields of a checkpoint's configuration that a recipe may change, beside those of the loss."""
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
    "save_only_model": False,  # nothing could go on from such a checkpoint
    "ignore_data_skip": False,  # a run that goes on would learn from cases again
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


@dataclass(frozen=True)
class TrainingData:
    """The cases of a recipe.

    Attributes:
        train: Rows to learn from.
        validation: Rows to choose checkpoints and thresholds on, if any.
        features: Columns of both.
        label_column: The label space.
        label_set: Its labels, in column order.
        metadata: What is known of the training cases without their pixels.
        repeat_factors: How often each training case comes in an epoch; None for once.
    """

    train: Dataset
    validation: Dataset | None
    features: Features
    label_column: str
    label_set: LabelSet
    metadata: CaseMetadata
    repeat_factors: NDArray[np.float64] | None

    @property
    def label_counts(self) -> list[int]:
        """Training cases of each label, in column order."""
        return [int(count) for count in self.metadata.labels[self.label_column].sum(0)]

    def slice_counts(self, max_slices: int) -> list[int]:
        """Return how many slices of each training case are encoded."""
        counts = count_slices(
            self.metadata.scan_cases, self.metadata.scan_depths, len(self.metadata), max_slices
        )
        return [int(count) for count in counts]

    def pack(
        self,
        cases: Dataset,
        processor: RadDiagImageProcessor,
        augmentation: CaseAugmentation | None = None,
        seed: int = 0,
    ) -> TrainingCases:
        """Return cases as the Trainer reads them, packed where its workers run."""
        packer = CasePacker(self.features, processor, self.label_column)
        return TrainingCases(cases, packer, augmentation, seed)


def training_arguments(recipe: Recipe) -> TrainingArguments:
    """Return the Trainer's arguments.

    Raises:
        RecipeError: If a value is refused by transformers, or is one that the training relies on.
    """
    given = dict(recipe.training)
    for name, value in FIXED_ARGUMENTS.items():
        if given.get(name, value) != value:
            raise RecipeError(f"training.{name} is {given[name]!r}, but has to be {value!r}")
    check_ranges(given)
    values = {**DEFAULT_ARGUMENTS, "dataloader_pin_memory": torch.cuda.is_available(), **given}
    if "WORLD_SIZE" in os.environ:
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
        raise RecipeError(f"training: {_one_line(error)}") from None
    check_names(args)
    return args


def load_training_data(section: DataSection) -> TrainingData:
    """Load the splits of a recipe; no pixel is decoded.

    Raises:
        RecipeError: If no data set is named, the label column is not clear, or a patient is in
            both splits.
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
            raise RecipeError(f"data: {_one_line(error)}") from None
    train = splits[section.train_split]
    columns = label_columns(train.features)
    column = section.label_column
    if column is None and len(columns) == 1:
        column = next(iter(columns))
    if column not in columns:
        raise RecipeError(
            f"data.label_column is {column!r}, expected one of {', '.join(sorted(columns))}"
        )
    metadata = read_metadata({"train": train})
    validation = splits.get(section.validation_split or "")
    if validation is not None:
        _check_patients(metadata, validation)
    factors = None
    if section.repeat_threshold is not None:
        try:
            factors = repeat_factors(metadata.labels[column], section.repeat_threshold)
        except ValueError as error:
            raise RecipeError(f"data.repeat_threshold: {_one_line(error)}") from None
    return TrainingData(
        train=train,
        validation=validation,
        features=train.features,
        label_column=column,
        label_set=LabelSet(tuple(columns[column].names)),
        metadata=metadata,
        repeat_factors=factors,
    )


def _check_patients(training: CaseMetadata, validation: Dataset) -> None:
    patients = set(validation.select_columns("patient_id")[:]["patient_id"])
    if shared := len(patients.intersection(training.patient_ids)):
        raise RecipeError(
            f"data: {shared} of {len(patients)} patients of data.validation_split have cases in "
            "data.train_split too, so no number measured on it would hold; choose splits without a "
            "patient in common"
        )


def build_model(
    recipe: Recipe, data: TrainingData, label_texts: LabelEmbeddings | None
) -> tuple[RadDiagForImageClassification, RadDiagImageProcessor]:
    """Return the network, with random weights of torch's global generator or those of a checkpoint.

    Args:
        recipe: Which network.
        data: The cases to learn from.
        label_texts: Of the labels of the data, by the recipe's text encoder, if it names one.

    Raises:
        RecipeError: If the recipe names a field that there is not, or a value that is refused, or
            a knowledge classifier has no label texts.
        ModelSourceError: If a checkpoint cannot be read.
        LabelMismatchError: If a checkpoint's labels are not those of the data.
    """
    section = recipe.model
    fields = network_fields(recipe) | {
        "train_label_counts": data.label_counts,
        "num_train_cases": len(data.train),
    }
    if section.checkpoint is None:
        if label_texts is not None:
            fields = {"label_embedding_size": label_texts.embeddings.shape[1], **fields}
        model = RadDiagForImageClassification(build_config(section, data.label_set, fields))
        give_label_texts(model, section, label_texts)
        sizes = {"image_size": model.config.image_size, "max_slices": model.config.max_slices}
        try:
            processor = RadDiagImageProcessor(**{**sizes, **section.processor})
        except (ValueError, TypeError) as error:
            raise RecipeError(f"model.processor: {_one_line(error)}") from None
    else:
        if section.processor:
            raise RecipeError("model.processor: a checkpoint brings its own image processor")
        loaded = read_model(section.checkpoint)
        model, processor = loaded.model, loaded.processor
        give_label_texts(model, section, label_texts)
        _change_config(model.config, fields)
    check_model_fits(model.config, data.features, data.label_column)
    if section.batch_norm == "synchronised":
        if not torch.cuda.is_available():
            raise RecipeError("model.batch_norm is 'synchronised', which needs GPUs")
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return model, processor


def network_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of `RadDiagConfig` that a recipe sets, in whichever section.

    Raises:
        RecipeError: If there is no such field.
    """
    known = set(RadDiagConfig().to_dict()) - {"model_type", "transformers_version"}
    for name in recipe.model.config:
        if name not in known:
            hint = nearest_name(name, known, "model.config.")
            raise RecipeError(f"there is no model.config.{name}{hint}")
    frozen = {"freeze_batch_norm": recipe.model.batch_norm == "frozen"}
    return {**frozen, **recipe.model.config, **recipe.loss}


def network_config(recipe: Recipe, label_set: LabelSet | None) -> RadDiagConfig:
    """Return the configuration of a recipe's network without building it.

    Args:
        recipe: With or without a checkpoint.
        label_set: Of the data; None for as many labels as there are disorders in RP3D-DiagDS.

    Raises:
        RecipeError: If a field is unknown or refused.
        ModelSourceError: If the checkpoint cannot be read.
    """
    fields = network_fields(recipe)
    if recipe.model.checkpoint is not None:
        config = read_model(recipe.model.checkpoint).model.config
        _change_config(config, fields)
        return config
    if label_set is None:
        label_set = LabelSet(tuple(f"label {number}" for number in range(RP3D_DISORDERS)))
    return build_config(recipe.model, label_set, fields)


def build_config(
    section: ModelSection, label_set: LabelSet, fields: Mapping[str, Any]
) -> RadDiagConfig:
    """Return the configuration of a network that starts from random weights.

    Raises:
        RecipeError: If there is no such preset, or a field is refused.
    """
    labels = {
        "id2label": label_set.id2label,
        "label2id": label_set.label2id,
        "label_set_fingerprint": label_set.fingerprint,
    }
    try:
        return RadDiagConfig.from_preset(section.preset, **{**labels, **fields})
    except (ValueError, StrictDataclassError) as error:
        raise RecipeError(f"model: {_one_line(error)}") from None


def grey_picture_slices(section: ModelSection) -> int:
    """Return how many slices the image processor of a recipe makes of a grey picture.

    Raises:
        RecipeError: If an option of the processor is refused.
        ModelSourceError: If the checkpoint cannot be read.
    """
    if section.checkpoint is not None:
        return read_model(section.checkpoint).processor.grey_picture_slices
    try:
        return RadDiagImageProcessor(**section.processor).grey_picture_slices
    except (ValueError, TypeError) as error:
        raise RecipeError(f"model.processor: {_one_line(error)}") from None


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
        raise RecipeError(f"augmentation: {_one_line(error)}") from None


def _change_config(config: RadDiagConfig, fields: Mapping[str, Any]) -> None:
    """Change what a trained network lets itself be told."""
    for name, value in fields.items():
        if getattr(config, name) == value:
            continue
        if name not in LOSS_FIELDS | CHANGEABLE_FIELDS:
            raise RecipeError(
                f"model.config.{name} is {value!r}, but the checkpoint was trained with "
                f"{getattr(config, name)!r}"
            )
        try:
            setattr(config, name, value)
        except StrictDataclassError as error:
            raise RecipeError(f"model.config: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
