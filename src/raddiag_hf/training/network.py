"""From a recipe to its network and image processor: new ones, or those of a checkpoint."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError

from raddiag_hf.checkpoints.loaded_model import LoadedModel
from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.checkpoints.torchvision_weights import torchvision_tensors
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.settings import check_value
from raddiag_hf.data.case_splits import CaseSplit, CaseSplits
from raddiag_hf.data.model_labels import check_model_labels
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.heads import KnowledgeHead
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.label_texts import LabelTextError, label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.presets import PRESETS
from raddiag_hf.training.recipe import LOSS_FIELDS, ModelSection, Recipe
from raddiag_hf.training.recipe_file import RecipeError, nearest_name
from raddiag_hf.vocabulary import Split

RP3D_DISORDERS = 5569

CHANGEABLE_FIELDS = frozenset(
    {
        "encoder_chunk_size",
        "freeze_batch_norm",
        "train_label_counts",
        "train_known_counts",
        "num_train_cases",
    }
)
"""Fields of a checkpoint's configuration that a recipe may change, beside those of the loss."""
FIELDS_OF_DATA = frozenset(
    {
        "id2label",
        "label2id",
        "label_set_fingerprint",
        "trained_labels",
        "trained_label_counts",
        "train_label_counts",
        "train_known_counts",
        "num_train_cases",
        "decision_thresholds",
    }
)
"""Fields that nothing can be said about before the data are there."""
MISSING = (
    "model.text_encoder is missing: a knowledge classifier is trained with embedded label names, "
    "so name a text encoder, a folder or Hub id"
)


def build_model(
    recipe: Recipe,
    data: CaseSplits,
    label_texts: LabelEmbeddings | None,
    checkpoint: LoadedModel | None,
) -> tuple[RadDiagForImageClassification, RadDiagImageProcessor]:
    """Return the network, with random weights of torch's global generator or those of a checkpoint.

    Args:
        recipe: Which network.
        data: The cases to learn from.
        label_texts: Of the labels of the data, by the recipe's text encoder, if it names one.
        checkpoint: The recipe's, if it names one; its model is changed and returned.

    Raises:
        RecipeError: If the recipe names a field that there is not, or a value that is refused, or
            a knowledge classifier has no label texts.
        LabelMismatchError: If a checkpoint's labels are not those of the data.
    """
    section = recipe.model
    fields = network_fields(recipe) | data[Split.TRAIN].frequency_fields()
    if checkpoint is None:
        if label_texts is not None:
            fields = {
                "label_embedding_size": label_texts.embeddings.shape[1],
                "knowledge_logit_bias": _mean_log_odds(data[Split.TRAIN]),
                **fields,
            }
        model = RadDiagForImageClassification(build_config(section, data.label_set, fields))
        if section.backbone_weights is not None:
            weights = torchvision_tensors(model, section.backbone_weights)
            model.load_state_dict(weights, strict=False)
        _give_label_texts(model, section, label_texts)
        sizes = {"image_size": model.config.image_size, "max_slices": model.config.max_slices}
        processor = _build_processor({**sizes, **section.processor})
    else:
        model, processor = checkpoint.model, checkpoint.processor
        _give_label_texts(model, section, label_texts)
        _change_config(model.config, fields)
    check_model_labels(model.config, data.label_set, data.label_column)
    if model.config.has_exclusive_labels and not data.is_exclusive:
        raise RecipeError(
            f"model.config.problem_type is {model.config.problem_type!r}, but {data.location} has "
            "cases with no label or several, or of unknown ones"
        )
    if section.batch_norm == "synchronised":
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return model, processor


def check_network(recipe: Recipe, checkpoint: LoadedModel | None) -> None:
    """Refuse a network that no data could make right, before data are opened.

    Args:
        recipe: Which network.
        checkpoint: The recipe's, if it names one; it stays as it is.

    Raises:
        RecipeError: If a name is unknown or a value refused.
        ModelSourceError: If backbone weights are not available or do not fit.
        CheckpointError: If their file does not hold tensors alone.
    """
    section = recipe.model
    fields = {
        name: value for name, value in network_fields(recipe).items() if name not in FIELDS_OF_DATA
    }
    if section.batch_norm == "synchronised" and not torch.cuda.is_available():
        raise RecipeError("model.batch_norm is 'synchronised', which needs GPUs")
    if checkpoint is not None:
        if section.processor:
            raise RecipeError("model.processor: a checkpoint brings its own image processor")
        if section.backbone_weights is not None:
            raise RecipeError("model.backbone_weights: a checkpoint brings its own weights")
        config = copy.deepcopy(checkpoint.model.config)
        _change_config(config, fields)
        config.train_label_counts = [0] * config.num_labels  # some losses need any
        config.num_train_cases = 0
        try:
            config.validate()
        except StrictDataclassError as error:
            raise _refused(error, section) from None
        _check_mixing(recipe, config)
        return
    processor = _build_processor(section.processor)
    counts = {"train_label_counts": [0, 0], "num_train_cases": 0}
    config = build_config(section, LabelSet(("any label", "another")), {**fields, **counts})
    for name, value, fits in (
        ("image_size", config.image_size, int.__eq__),
        ("max_slices", config.max_slices, int.__le__),
    ):
        if name in section.processor and not fits(section.processor[name], value):
            raise RecipeError(
                f"model.processor.{name} is {section.processor[name]}, but model.config.{name} is "
                f"{value}: leave the first out, it follows the second"
            )
    _check_mixing(recipe, config)
    if processor.num_channels not in config.accepted_channels:
        raise RecipeError(
            f"model.processor.ct_channel_windows has {processor.num_channels} windows, expected "
            f"one for each channel that the network takes: {config.accepted_channels[-1]}"
        )
    if section.backbone_weights is not None:
        with torch.device("meta"):
            network = RadDiagForImageClassification(config)
        torchvision_tensors(network, section.backbone_weights)


def _check_mixing(recipe: Recipe, config: RadDiagConfig) -> None:
    """Refuse to teach scans the labels of a case that they are not of."""
    if config.learns_single_scans and (recipe.augmentation or {}).get("mixing_probability"):
        raise RecipeError(
            f"augmentation.mixing_probability: fusion_type is {config.fusion_type!r}, which learns "
            "single scans, and a scan of a mixed case would learn the labels of another; set it to "
            "0, or model.config.late_fusion_training to pooled"
        )


def _build_processor(options: Mapping[str, Any]) -> RadDiagImageProcessor:
    try:
        return RadDiagImageProcessor(**options)
    except (ValueError, TypeError) as error:
        raise RecipeError(f"model.processor: {one_line(error)}") from None


def _mean_log_odds(cases: CaseSplit) -> float:
    """Return the log-odds of the average label: where all logits start that share one bias."""
    counts, known = cases.label_counts, cases.known_counts
    share = (sum(counts) / len(counts) + 0.5) / (sum(known) / len(known) + 1)
    return math.log(share / (1 - share))


def network_fields(recipe: Recipe) -> dict[str, Any]:
    """Return the fields of `RadDiagConfig` that a recipe sets, in whichever section.

    Raises:
        RecipeError: If there is no such field, or a value is of another type.
    """
    known = set(RadDiagConfig().to_dict()) - {"model_type", "transformers_version"}
    for name in recipe.model.config:
        if name not in known:
            hint = nearest_name(name, known, "model.config.")
            raise RecipeError(f"there is no model.config.{name}{hint}")
    for where, given in (("model.config", recipe.model.config), ("loss", recipe.loss)):
        for name, value in given.items():
            kind = RadDiagConfig.__annotations__.get(name, Any)  # those of transformers: unchecked
            check_value(f"{where}.{name}", value, kind, error=RecipeError)
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
    if section.preset not in PRESETS:
        raise RecipeError(
            f"model.preset: there is no preset {section.preset!r}"
            f"; expected one of {', '.join(sorted(PRESETS))}"
        )
    labels = {
        "id2label": label_set.id2label,
        "label2id": label_set.label2id,
        "label_set_fingerprint": label_set.fingerprint,
    }
    try:
        return RadDiagConfig.from_preset(section.preset, **{**labels, **fields})
    except (ValueError, StrictDataclassError) as error:
        raise _refused(error, section) from None


def _refused(error: Exception, section: ModelSection) -> RecipeError:
    """Return the error of a configuration in the words of its validator, the field named first."""
    text = one_line(error.__cause__ or error)
    field = text.partition(" ")[0]
    if field in LOSS_FIELDS and field not in section.config:
        return RecipeError(f"loss.{text}")
    if field in RadDiagConfig.__annotations__:
        return RecipeError(f"model.config.{text}")
    return RecipeError(f"model: {text}")


def grey_picture_slices(section: ModelSection) -> int:
    """Return how many slices the image processor of a recipe makes of a grey picture.

    Raises:
        RecipeError: If an option of the processor is refused.
        ModelSourceError: If the checkpoint cannot be read.
    """
    if section.checkpoint is not None:
        return read_model(section.checkpoint).processor.grey_picture_slices
    return _build_processor(section.processor).grey_picture_slices


def read_text_encoder(section: ModelSection) -> TextEncoder | None:
    """Return the text encoder of a recipe; None where it names none.

    Raises:
        RecipeError: If a knowledge classifier would begin without one.
        TextEncoderError: If the encoder is not available.
    """
    if section.text_encoder is not None:
        return TextEncoder.from_pretrained(section.text_encoder)
    if section.checkpoint is None and section.config.get("classifier_type") == "knowledge":
        raise RecipeError(MISSING)
    return None


def _give_label_texts(
    model: RadDiagForImageClassification,
    section: ModelSection,
    label_texts: LabelEmbeddings | None,
) -> None:
    """Make label texts those that the classifier is trained with, or see that it has some.

    Args:
        model: New, or read from the recipe's checkpoint.
        section: Of the recipe.
        label_texts: Of the labels of the data, by the recipe's text encoder, if it names one.

    Raises:
        RecipeError: If a knowledge classifier has no label texts, they are not of its width, or
            another classifier would get some.
    """
    head = model.classifier
    if not isinstance(head, KnowledgeHead):
        if label_texts is not None:
            raise RecipeError(
                f"model.text_encoder: the classifier is {model.config.classifier_type!r}, and only "
                "model.config.classifier_type=knowledge reads label names"
            )
        return
    if label_texts is None and not head.has_label_embeddings():
        raise RecipeError(
            f"{MISSING}, or store label texts in the checkpoint with `raddiag knowledge embed "
            f"--encoder ... --labels ... --model {section.checkpoint}`"
        )
    names = label_names(model.config) if label_texts is None else label_texts.label_set.names
    try:
        model.set_label_texts(names, label_texts, for_training=True)
    except LabelTextError as error:
        raise RecipeError(f"model.text_encoder: {error}") from None


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
            cause = one_line(error.__cause__ or error)
            raise RecipeError(f"model.config.{name}: {cause}") from None
