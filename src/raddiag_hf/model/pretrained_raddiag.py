"""What all RadDiag models share: initialisation, saving, and the mode for inference alone."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedModel

from .attention_pooling import ScoreLayer
from .backbone import BackboneEncoder
from .configuration_raddiag import RadDiagConfig
from .heads import KnowledgeHead, LabelLayer, label_log_odds
from .transformer import TokenEncoder
from .visual_encoders import ViTEncoder
from .weight_digests import DIGEST_FILE, write_weight_digests

_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


class RadDiagPreTrainedModel(PreTrainedModel):
    """Initialisation, saving and training mode of all RadDiag models."""

    config: RadDiagConfig
    base_model_prefix = "raddiag"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # the loss is a mean over cases; Trainer must not rescale it
    _no_split_modules = ("TransformerLayer", "ResNetBlock", "ResNetBottleneck")
    _supports_sdpa = True

    @property
    def is_optimized_for_inference(self) -> bool:
        """Whether the weights are no longer those of the configuration; see below."""
        return bool(self.base_model.has_folded_weights)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialise one module: He for convolutions, truncated normal for learned tokens."""
        std = self.config.initializer_range
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            return
        super()._init_weights(module)
        if isinstance(module, TokenEncoder):
            init.trunc_normal_(module.cls_token, std=std)
            if module.position_embeddings is not None:
                init.trunc_normal_(module.position_embeddings, std=std)
        elif isinstance(module, ScoreLayer):
            init.zeros_(module.weight)
        elif isinstance(module, ViTEncoder):
            init.trunc_normal_(module.patch_positions, std=std)
            init.trunc_normal_(module.cube_positions, std=std)
        elif isinstance(module, LabelLayer):
            if (log_odds := label_log_odds(self.config)) is not None:
                init.copy_(module.bias, log_odds)
        elif isinstance(module, KnowledgeHead):
            init.zeros_(module.label_embeddings)
            if module.trained_label_embeddings is not None:
                init.zeros_(module.trained_label_embeddings)
            if module.logit_bias is not None:
                init.constant_(module.logit_bias, self.config.knowledge_logit_bias)

    def optimize_for_inference(
        self, dtype: torch.dtype = torch.float32
    ) -> "RadDiagPreTrainedModel":
        """Make the forward pass faster, for good, and return the model.

        Batch norms are folded into their convolutions, the three equal input channels of the first
        convolution into one, convolutions run channels-last, and slices go through the encoder a
        few at a time unless the configuration says how many. The model changes in place and can
        neither be trained nor saved afterwards.

        Args:
            dtype: What to compute in. ``torch.bfloat16`` is faster where the hardware has it and
                changes logits by about a hundredth of their spread.

        Raises:
            ValueError: If the model is already optimised.
        """
        if self.is_optimized_for_inference:
            raise ValueError("this model is already optimised for inference")
        self.eval()
        _optimize_modules(self)
        self.base_model.has_folded_weights = True  # with a classifier around it or without
        self.requires_grad_(False)
        return self.to(dtype=dtype)

    def save_pretrained(self, save_directory: str | Path, *args: Any, **kwargs: Any) -> None:
        """Save weights, their digests and configuration; see `PreTrainedModel.save_pretrained`.

        Raises:
            ValueError: If the model was optimised for inference: its weights are no longer those of
                its configuration.
        """
        if self.is_optimized_for_inference:
            raise ValueError(
                "a model optimised for inference cannot be saved; save it before, or load it again"
            )
        is_main_process = kwargs.get("is_main_process", args[0] if args else True)
        if is_main_process:
            Path(save_directory, DIGEST_FILE).unlink(missing_ok=True)
        super().save_pretrained(save_directory, *args, **kwargs)
        if is_main_process and Path(save_directory).is_dir():
            write_weight_digests(Path(save_directory))


def _optimize_modules(model: nn.Module) -> None:
    """Fold batch norms and equal input channels, and lay convolutions out channels-last, in place.

    A backbone only gets the layout: nothing tells in general which convolution its batch norms
    follow, and whether they do more than normalise.

    Args:
        model: In evaluation mode. Every batch norm named ``bnN`` follows the convolution ``convN``
            beside it, or stands behind a convolution in a sequence, as in MONAI's ResNets.
    """
    foreign = {
        part
        for module in model.modules()
        if isinstance(module, BackboneEncoder)
        for part in module.backbone.modules()
    }
    own = [module for module in model.modules() if module not in foreign]
    for module in own:
        _fold_batch_norms(module)
    for module in own:
        if (resnet := getattr(module, "resnet", None)) is not None:
            resnet.conv1 = _sum_input_channels(resnet.conv1)
    for module in list(model.modules()):
        if isinstance(module, nn.Conv2d):
            _lay_out(module, torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            _lay_out(module, torch.channels_last_3d)


def _fold_batch_norms(module: nn.Module) -> None:
    previous_name, previous = "", None
    for name, child in list(module.named_children()):
        if isinstance(child, _BATCH_NORMS):
            if name.startswith("bn"):
                previous_name = name.replace("bn", "conv", 1)
                previous = getattr(module, previous_name)
            if isinstance(previous, _CONVOLUTIONS):
                setattr(module, previous_name, fuse_conv_bn_eval(previous, child))
                setattr(module, name, nn.Identity())
        previous_name, previous = name, child


def _lay_out(convolution: nn.Module, memory_format: torch.memory_format) -> None:
    weight = convolution.get_parameter("weight")
    weight.data = weight.data.contiguous(memory_format=memory_format)


class _GreyConvolution(nn.Conv2d):
    """The first convolution for one grey channel, whose output is channels-last.

    A tensor of one channel is contiguous in both layouts, and torch takes it for the plain one
    unless its strides say otherwise; the pooling behind would then run several times slower.
    """

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        laid_out = torch.empty_like(pixels, memory_format=torch.channels_last)
        return super().forward(laid_out.copy_(pixels))


def _sum_input_channels(convolution: nn.Conv2d) -> nn.Conv2d:
    """Return a one-channel convolution that equals this one on equal input channels."""
    folded = _GreyConvolution(
        1,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,  # type: ignore[arg-type]  # pairs, by construction
        stride=convolution.stride,  # type: ignore[arg-type]
        padding=convolution.padding,  # type: ignore[arg-type]
    )
    folded.weight = nn.Parameter(convolution.weight.detach().sum(1, keepdim=True))
    folded.bias = convolution.bias
    return folded
