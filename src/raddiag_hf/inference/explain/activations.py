"""Activation maps of one scan: what Score-CAM masks its pixels with."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from raddiag_hf.model.backbone import BackboneEncoder
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.visual_encoders import ResNetEncoder, ResNetViTEncoder, ViTEncoder

STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
"""Stage of a ResNet -> pixels of the input per pixel of its activation maps."""

VOLUME_STAGES = ("layer1", "layer2")
"""Stages of the ``resnet`` encoder whose maps of a volume have a depth: the stem's."""

FEWEST_MAP_PIXELS = 7
"""Height and width below which an activation map hardly tells one place from another."""

TOKENS = "tokens"
"""Patch and cube tokens as the last transformer layer reads them (``vit``)."""

FEATURES = "features"
"""Patch tokens, or the last feature map, of a ``backbone``."""


class ActivationMaps(NamedTuple):
    """Activation maps of one scan.

    Attributes:
        values: Shape ``(channels, depth, height, width)``, not negative: tokens and the features of
            a backbone, which have both signs, are counted from each channel's lowest place. A depth
            below the number of slices means that the encoder strides over slices.
        layer: Where they come from: a stage of the ResNet, ``tokens`` or ``features``.
    """

    values: Tensor
    layer: str


def default_layer(model: RadDiagForImageClassification, num_slices: int) -> str:
    """Return the deepest layer whose maps still tell places apart.

    The deepest stage of the ResNet of which a map has at least `FEWEST_MAP_PIXELS` on a side: the
    last stage at 256 pixels, as Score-CAM's authors take it, an earlier one for small inputs.
    """
    stages = available_layers(model, num_slices)
    wide_enough = [
        stage
        for stage in stages
        if stage in (TOKENS, FEATURES)
        or -(-model.config.image_size // STRIDES[stage]) >= FEWEST_MAP_PIXELS
    ]
    return wide_enough[-1] if wide_enough else stages[0]


def available_layers(model: RadDiagForImageClassification, num_slices: int) -> tuple[str, ...]:
    """Return the layers whose maps of a scan of that many slices tell slices apart, in order."""
    if model.config.encoder_type == "vit":
        return (TOKENS,)
    if model.config.encoder_type == "backbone":
        return (FEATURES,)
    if model.config.encoder_type == "resnet" and num_slices > 1:
        return VOLUME_STAGES
    return tuple(STRIDES)


def activation_maps(
    model: RadDiagForImageClassification, pixel_values: Tensor, layer: str, slices_at_once: int
) -> ActivationMaps:
    """Encode one scan and return what a layer answers, and nothing of the rest.

    Args:
        model: In evaluation mode.
        pixel_values: The slices of one scan, ``(slices, 1, H, W)``.
        layer: One of `available_layers`.
        slices_at_once: Slices that are encoded together, where the encoder takes them one by one.

    Raises:
        ValueError: If the encoder has no such layer for this scan.
    """
    num_slices = len(pixel_values)
    if layer not in (known := available_layers(model, num_slices)):
        raise ValueError(
            f"layer is {layer!r}, expected one of {known} for {num_slices} slices and the encoder "
            f"{model.config.encoder_type!r}"
        )
    encoder = model.raddiag.encoder
    kept: list[Tensor] = []
    if isinstance(encoder, ViTEncoder):
        last = encoder.shared_transformer.layers[-1]
        hook = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    elif isinstance(encoder, BackboneEncoder):
        hook = encoder.backbone.register_forward_hook(
            lambda _, __, answer: kept.append(encoder.feature_maps(answer))
        )
    else:
        module = _stage(encoder, layer, num_slices)
        hook = module.register_forward_hook(lambda _, __, output: kept.append(output))
    try:
        counts = torch.tensor([num_slices], device=pixel_values.device)
        with torch.inference_mode():
            encoder(pixel_values, counts, slices_at_once, False)
    finally:
        hook.remove()
    if layer == TOKENS:
        grid = _as_grid(kept[0][0, 1:], model.config.image_size // model.config.patch_size)
        values = grid - grid.amin((1, 2, 3), keepdim=True)
    elif kept[0].ndim == 5:
        values = kept[0][0]
    else:
        values = torch.cat(kept).transpose(0, 1)
        if layer == FEATURES:
            values = values - values.amin((1, 2, 3), keepdim=True)
    return ActivationMaps(values.float(), layer)


def _stage(encoder: nn.Module, layer: str, num_slices: int) -> nn.Module:
    """Return the module of a ResNet's stage."""
    number = int(layer.removeprefix("layer"))
    if isinstance(encoder, ResNetViTEncoder):
        return encoder.resnet.get_submodule(layer)
    if not isinstance(encoder, ResNetEncoder):
        raise TypeError(f"{type(encoder).__name__} has no ResNet stages")
    if number > 2:
        return encoder.trunk[number - 3]
    stem = encoder.stem_2d if num_slices == 1 else encoder.stem_3d
    return stem[number - 3]  # a stem ends with its stages 1 and 2, the trunk begins with 3 and 4


def _as_grid(tokens: Tensor, side: int) -> Tensor:
    """Lay tokens out where their patches or cubes lie: ``(hidden, depth, side, side)``."""
    return tokens.reshape(-1, side, side, tokens.shape[1]).permute(3, 0, 1, 2)
