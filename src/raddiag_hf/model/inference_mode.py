"""Inference mode: the same network with less work, which can no longer be trained."""

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from .backbone import BackboneEncoder

_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


def optimize_modules(model: nn.Module) -> None:
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
