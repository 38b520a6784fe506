"""Rewrite a trained network into one that computes the same with less work, for inference only."""

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)
_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


def optimize_modules(model: nn.Module) -> None:
    """Fold batch norms and equal input channels, and lay convolutions out channels-last, in place.

    Args:
        model: In evaluation mode. Every batch norm named ``bnN`` follows the convolution ``convN``
            beside it, or stands behind a convolution in a sequence, as in MONAI's ResNets.
    """
    for module in list(model.modules()):
        _fold_batch_norms(module)
    for module in list(model.modules()):
        if hasattr(module, "resnet"):
            module.resnet.conv1 = _sum_input_channels(module.resnet.conv1)
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)


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


def _sum_input_channels(convolution: nn.Conv2d) -> nn.Conv2d:
    """Return a one-channel convolution that equals this one on equal input channels."""
    folded = nn.Conv2d(
        1,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,
        stride=convolution.stride,
        padding=convolution.padding,
        bias=convolution.bias is not None,
    )
    folded.weight = nn.Parameter(convolution.weight.detach().sum(1, keepdim=True))
    folded.bias = convolution.bias
    return folded
