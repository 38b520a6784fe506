"""Backbone: any vision model that `AutoModel` knows, as encoder of slices."""

import inspect
import math
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AutoModel

from .configuration_raddiag import RadDiagConfig
from .slice_encoder import SliceEncoder


class BackboneEncoder(SliceEncoder):
    """A vision transformer or convolutional network on every slice, then fusion by scan.

    Grey slices in [0, 1] are repeated into the backbone's channels and normalised by its own mean
    and deviation. What it answers is pooled as ``config.backbone_pooling`` says, without a
    projection.

    Raises:
        ValueError: If the backbone has learnt positions for another ``image_size`` and cannot
            interpolate them.
    """

    def __init__(self, config: RadDiagConfig) -> None:
        super().__init__()
        self.config = config
        # The type of the outer model, not the one that the backbone was saved in.
        self.backbone = AutoModel.from_config(
            config.backbone_config, dtype=torch.get_default_dtype()
        )
        self._options = self._position_options()
        self.add_slice_fusion(config)

    def encode_slices(self, pixel_values: Tensor) -> Tensor:
        """Return one feature vector per slice: ``(slices, 1, H, W)`` -> ``(slices, hidden)``.

        Raises:
            ValueError: If the backbone has no such features, or of another width than the hidden
                size.
        """
        features = self.pool(self.run_backbone(pixel_values))
        if features.shape[1] != self.config.hidden_size:
            raise ValueError(
                f"hidden_size is {self.config.hidden_size}, but the backbone gives "
                f"{features.shape[1]} features with backbone_pooling="
                f"{self.config.backbone_pooling!r}"
            )
        return features

    def run_backbone(self, pixel_values: Tensor) -> Any:
        """Return the backbone's own answer to grey slices, ``(slices, 1, H, W)`` in [0, 1]."""
        mean, std = (
            pixel_values.new_tensor(values)[:, None, None]
            for values in (self.config.backbone_mean, self.config.backbone_std)
        )
        slices = ((pixel_values - mean) / std).to(self.backbone.dtype)
        return self.backbone(slices, **self._options)

    def feature_maps(self, answer: Any) -> Tensor:
        """Return features where they lie in the slice, ``(slices, channels, height, width)``.

        Patch tokens without class and register tokens, or the last feature map.

        Raises:
            ValueError: If it answers with other tokens too, as detectors of objects do.
        """
        tokens = _last_state(answer)
        if tokens.ndim == 4:
            return tokens.permute(0, 3, 1, 2) if self._puts_channels_last() else tokens
        patches = tokens[:, self._num_prefix_tokens(tokens) :]
        return patches.transpose(1, 2).reshape(len(tokens), -1, *self._grid(tokens))

    def has_class_token(self, answer: Any) -> bool:
        """Tell whether the first token stands for the whole slice."""
        tokens = _last_state(answer)
        return tokens.ndim == 3 and self._num_prefix_tokens(tokens) > self._num_register_tokens()

    def pool(self, answer: Any) -> Tensor:
        """Return what ``config.backbone_pooling`` takes of an answer, ``(slices, features)``."""
        pooling = self.config.backbone_pooling
        if pooling == "pooled":
            pooled = getattr(answer, "pooler_output", None)
            if pooled is None:
                raise ValueError("backbone_pooling is 'pooled', but the backbone has no pooler")
            return cast(Tensor, pooled.flatten(1))
        if pooling == "mean":
            return self.feature_maps(answer).mean((2, 3))
        if not self.has_class_token(answer):
            raise ValueError(f"backbone_pooling is {pooling!r}, but there is no class token")
        class_token = _last_state(answer)[:, 0]
        if pooling == "class":
            return class_token
        return torch.cat([class_token, self.feature_maps(answer).mean((2, 3))], dim=1)

    def _num_prefix_tokens(self, tokens: Tensor) -> int:
        """Return how many tokens come before those of patches."""
        return tokens.shape[1] - math.prod(self._grid(tokens))

    def _grid(self, tokens: Tensor) -> tuple[int, int]:
        """Return rows and columns of patches: by their size, or else the square that is left."""
        rest = tokens.shape[1] - self._num_register_tokens()
        size = getattr(self.backbone.config, "patch_size", None)
        sizes = (size, size) if isinstance(size, int) else size
        grid: tuple[int, int] | None = None
        if isinstance(sizes, (list, tuple)) and len(sizes) == 2:
            grid = (self.config.image_size // sizes[0], self.config.image_size // sizes[1])
        if grid is None or math.prod(grid) > rest:  # patches were merged, or are not told
            side = math.isqrt(max(rest, 0))
            grid = (side, side)
        others = rest - math.prod(grid)
        if others > 2:  # class, and what distillation reads
            raise ValueError(
                f"the backbone gives {others} tokens that stand neither for patches nor for the "
                "whole slice"
            )
        return grid

    def _num_register_tokens(self) -> int:
        timm = getattr(self.backbone, "timm_model", None)
        if timm is not None:
            return getattr(timm, "num_reg_tokens", 0)
        return getattr(self.backbone.config, "num_register_tokens", 0) or 0

    def _puts_channels_last(self) -> bool:
        """Tell whether maps are ``(slices, height, width, channels)``, as timm's Swin gives."""
        return getattr(getattr(self.backbone, "timm_model", None), "output_fmt", None) == "NHWC"

    def _position_options(self) -> dict[str, bool]:
        """Return what the backbone has to be told to take slices of another size than its own."""
        wanted, own = self.config.image_size, native_image_size(self.backbone.config)
        if own is None or own == wanted:
            return {}
        if "interpolate_pos_encoding" in inspect.signature(self.backbone.forward).parameters:
            return {"interpolate_pos_encoding": True}
        names = [name for name, _ in self.backbone.named_parameters()]
        has_positions = any("position_embedding" in name or "pos_embed" in name for name in names)
        interpolates = any(
            hasattr(module, "interpolate_pos_encoding") for module in self.backbone.modules()
        )
        if has_positions and not interpolates:
            raise ValueError(
                f"image_size is {wanted}, but the backbone has positions for {own} only and cannot "
                "interpolate them"
            )
        return {}


def _last_state(answer: Any) -> Tensor:
    """Return tokens or maps of the last layer; a model made as a detector's backbone has maps."""
    state = getattr(answer, "last_hidden_state", None)
    return cast(Tensor, answer.feature_maps[-1] if state is None else state)


def native_image_size(backbone_config: Any) -> int | None:
    """Return the height and width that a backbone was made for, in pixels; None if not told."""
    size = getattr(backbone_config, "image_size", None)
    if isinstance(size, (list, tuple)) and len(set(size)) == 1:
        size = size[0]
    if isinstance(size, int):
        return size
    timm = getattr(backbone_config, "pretrained_cfg", None) or {}
    shape = timm.get("input_size")
    return None if shape is None else int(shape[-1])
