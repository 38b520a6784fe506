"""Backbones: a vision model of the Hub or of a folder as the start of a RadDiag model."""

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from raddiag_hf.checkpoints.backbone_files import (
    SETTINGS_FILES,
    fetch_weights,
    open_backbone,
    processor_settings,
    read_backbone_config,
    read_network,
)
from raddiag_hf.checkpoints.loaded_model import LoadedModel
from raddiag_hf.checkpoints.saved_model import PROCESSOR_FILE
from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.model.backbone import BackboneEncoder, native_image_size
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

logger = logging.getLogger(__name__)

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
DEFAULT_IMAGE_SIZE = 224
NAMED_LARGER = ("dinov2", "dinov2_with_registers")
"""Kinds whose configuration names the 518 pixels of a last stage of training; it costs five times
what the usual size does."""
SLICE_HEADS = (8, 6, 4, 3, 2, 1)


def load_backbone(
    backbone_id: str,
    *,
    labels: Sequence[str] | None = None,
    pooling: str | None = None,
    image_size: int | None = None,
    max_slices: int = 32,
    ct_channel_windows: Sequence[str | Sequence[float]] | None = None,
    revision: str | None = None,
    token: str | None = None,
    **fields: Any,
) -> LoadedModel:
    """Make a RadDiag model whose slice encoder is a vision backbone; the rest is new.

    Slices and scans are pooled by attention and classified by one linear layer: what learns from
    few cases, and starts as a linear probe on the mean. All of it can be changed by ``fields``.

    Args:
        backbone_id: Folder or Hub id of what `AutoModel` loads: vision transformers (ViT, DINOv2,
            DINOv3), the vision tower of CLIP-like models, convolutional networks; timm's, where
            timm is installed. Code of a repository is never run.
        labels: Label names in the order of the logit columns; two without a name by default.
        pooling: What is a slice's feature vector, see `RadDiagConfig`. By default what the model
            was trained to answer with: its own head for CLIP-like towers and timm, class token
            and mean of patches for other transformers, the mean for convolutional networks.
        image_size: Height and width of slices in pixels; by default what its image processor
            makes, or the size that it was made for.
        max_slices: The most slices of a scan.
        ct_channel_windows: A window in Hounsfield units for each input channel, or one for all, in
            which CT scans are shown, as ``["lung", "mediastinum", "bone"]`` (see
            `RadDiagImageProcessor`); by default all channels are the same grey.
        revision: Branch, tag or commit on the Hub.
        token: Access token; the one that is signed in by default.
        fields: Other fields of `RadDiagConfig`.

    Returns:
        A model in evaluation mode, float32, on the CPU; its image processor; where it came from.

    Raises:
        ModelSourceError: If the backbone is not available, is no vision model, or its weights are
            not all there.
        ExtraMissingError: If it needs timm, which is not installed.
        ValueError: If ``pooling``, ``image_size``, ``ct_channel_windows`` or a field does not suit
            it.

    Example:
        >>> start = load_backbone("dinov2", labels=["Normal", "Pneumonia"])  # or a Hub id
        >>> start.model.config.backbone_pooling
        'class_mean'

    Source:
        The recipe (2D backbone, attention over slices that knows no order, linear head) is that of
        "Revisiting 2D Foundation Models for Scalable 3D Medical Image Classification", CVPR 2026.
    """
    source = open_backbone(backbone_id, revision, token)
    folder = source.fetch_folder(SETTINGS_FILES)
    config = read_backbone_config(folder, backbone_id)
    network, absent = read_network(fetch_weights(source, backbone_id), config, backbone_id)
    processor = processor_settings(folder, backbone_id)
    mean, std = _normalisation(processor, config, backbone_id)
    raddiag_config = _build_config(
        backbone_id,
        network,
        {
            "backbone_config": config.to_dict(),
            "backbone": backbone_id if source.commit else Path(backbone_id).expanduser().name,
            "backbone_pooling": pooling,
            "backbone_mean": mean,
            "backbone_std": std,
            "num_channels": len(mean),
            "image_size": image_size or _processor_size(processor) or _usual_image_size(config),
            "max_slices": max_slices,
            **_label_fields(labels),
            **fields,
        },
    )
    if absent and raddiag_config.backbone_pooling == "pooled":
        raise ModelSourceError(
            f"{backbone_id}: has no weights of its own head ({absent[0]}), which pooling 'pooled' "
            "reads; choose class, mean or class_mean"
        )
    image_processor = _image_processor(raddiag_config, ct_channel_windows, backbone_id)
    model = RadDiagForImageClassification(raddiag_config)
    cast(BackboneEncoder, model.raddiag.encoder).backbone.load_state_dict(network.state_dict())
    return LoadedModel(
        model.eval(),
        image_processor,
        backbone_id,
        source.commit,
    )


def _build_config(
    backbone_id: str, network: PreTrainedModel, fields: dict[str, Any]
) -> RadDiagConfig:
    """Return the configuration, as wide as the features are that the network gives."""
    pooling, width = _ask_features(backbone_id, network, fields)
    fields = fields | {"backbone_pooling": pooling}
    heads = next(heads for heads in SLICE_HEADS if width % heads == 0)
    return RadDiagConfig(
        **{
            "encoder_type": "backbone",
            "slice_fusion": "attention",
            "fusion_type": "attention",
            "classifier_type": "probe",
            "hidden_size": width,
            "num_attention_heads": heads,
            "num_fusion_heads": heads,
            **fields,
        }
    )


@torch.no_grad()
def _ask_features(
    backbone_id: str, network: PreTrainedModel, fields: dict[str, Any]
) -> tuple[str, int]:
    """Ask a network twice; return its pooling, and how many features that gives.

    Raises:
        ModelSourceError: If it cannot be asked, has not what the pooling takes, or masks its input
            at random as masked autoencoders do.
    """
    pooling = fields["backbone_pooling"]
    one_wide = {"hidden_size": 1, "num_attention_heads": 1, "num_fusion_heads": 1}
    asked = fields | one_wide | {"backbone_pooling": pooling or "mean"}
    probe = RadDiagConfig(encoder_type="backbone", slice_fusion="attention", **asked)
    try:
        with torch.device("meta"):  # its own weights are not needed
            encoder = BackboneEncoder(probe)
    except ValueError as error:
        raise ModelSourceError(f"{backbone_id}: {one_line(error)}") from None
    encoder.backbone = network
    slices = torch.linspace(0, 1, probe.image_size**2).view(1, 1, probe.image_size, -1)
    try:
        first, second = (encoder.run_backbone(slices) for _ in range(2))
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelSourceError(
            f"{backbone_id}: cannot be asked with pictures of {probe.image_size} pixels alone: "
            f"{one_line(error)}"
        ) from None
    try:
        probe.backbone_pooling = pooling or _default_pooling(encoder, first)
        features = encoder.pool(first)
    except ValueError as error:
        raise ModelSourceError(f"{backbone_id}: {one_line(error)}") from None
    if not torch.allclose(features, encoder.pool(second), atol=1e-4, rtol=1e-3):
        raise ModelSourceError(
            f"{backbone_id}: gives another answer each time it is asked, as masked autoencoders "
            "do, which hide parts of a picture at random; use the encoder that was saved without it"
        )
    return probe.backbone_pooling, features.shape[1]


def _default_pooling(encoder: BackboneEncoder, answer: Any) -> str:
    """Return what a backbone was trained to answer with, as far as its kind tells."""
    kind = encoder.backbone.config.model_type
    has_own_head = kind == "timm_wrapper" or kind.endswith("_vision_model")
    if has_own_head and getattr(answer, "pooler_output", None) is not None:
        return "pooled"
    names = [name for name, _ in encoder.backbone.named_parameters()]
    learns_class = any("cls_token" in name or "class_embedding" in name for name in names)
    return "class_mean" if learns_class and encoder.has_class_token(answer) else "mean"


def _image_processor(
    config: RadDiagConfig, windows: Sequence[str | Sequence[float]] | None, backbone_id: str
) -> RadDiagImageProcessor:
    """Return the image processor of a new model, refusing windows for other channels than it has.

    Raises:
        InputError: If there is no such window, or another number of channels.
    """
    try:
        processor = RadDiagImageProcessor(
            image_size=config.image_size, max_slices=config.max_slices, ct_channel_windows=windows
        )
    except ValueError as error:
        raise InputError(one_line(error)) from None
    if processor.num_channels not in config.accepted_channels:
        raise ModelSourceError(
            f"{backbone_id}: ct_channel_windows has {processor.num_channels} windows, but the "
            f"backbone has {config.num_channels} channels"
        )
    return processor


def _normalisation(
    processor: dict[str, Any], config: PreTrainedConfig, backbone_id: str
) -> tuple[list[float], list[float]]:
    """Return mean and deviation of the channels; ImageNet's where nobody says.

    Of other than three channels, each has the mean of ImageNet's.
    """
    timm = getattr(config, "pretrained_cfg", None) or {}
    channels = getattr(config, "num_channels", None) or timm.get("input_size", [3])[0]
    if processor.get("do_normalize", True) is False:
        return [0.0] * channels, [1.0] * channels
    mean = processor.get("image_mean") or timm.get("mean")
    std = processor.get("image_std") or timm.get("std")
    if mean is None or std is None:
        is_coloured = channels == len(IMAGENET_MEAN)
        logger.warning(
            "%s: has no %s that says how pictures are normalised, so ImageNet's mean and deviation "
            "are taken%s", backbone_id, PROCESSOR_FILE,
            "" if is_coloured else f", the mean of ImageNet's channels for its {channels}",
        )  # fmt: skip
        if is_coloured:
            return IMAGENET_MEAN, IMAGENET_STD
        mean, std = fmean(IMAGENET_MEAN), fmean(IMAGENET_STD)
    return _of_channels(mean, channels), _of_channels(std, channels)


def _of_channels(values: float | Sequence[float], channels: int) -> list[float]:
    """Return a number for each channel; one alone is that of all."""
    if isinstance(values, int | float):
        return [float(values)] * channels
    return [float(value) for value in values]


def _processor_size(processor: dict[str, Any]) -> int | None:
    """Return the height and width that a processor makes, in pixels; None if it does not say."""
    crops = processor.get("do_center_crop") and processor.get("crop_size")
    size = crops or processor.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    return size if isinstance(size, int) else None


def _usual_image_size(config: PreTrainedConfig) -> int:
    """Return the height and width that a backbone is used at where nobody says."""
    native = native_image_size(config) or DEFAULT_IMAGE_SIZE
    return min(native, DEFAULT_IMAGE_SIZE) if config.model_type in NAMED_LARGER else native


def _label_fields(labels: Sequence[str] | None) -> dict[str, Any]:
    if labels is None:
        return {}
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {label: column for column, label in enumerate(labels)},
    }
