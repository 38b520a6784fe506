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
        if (resnet := getattr(module, "resnet", None)) is not None:
            _sum_input_channels(resnet.conv1)
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


def _sum_input_channels(convolution: nn.Conv2d) -> None:
    """Make a convolution one-channelled; on equal input channels it computes the same."""
    convolution.weight = nn.Parameter(convolution.weight.detach().sum(1, keepdim=True))
    convolution.in_channels = 1
