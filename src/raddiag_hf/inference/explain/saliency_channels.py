"""Few maps that stand for many channels, so that Score-CAM takes few forward passes."""

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor


def group_channels(maps: Tensor, count: int) -> Tensor:
    """Return at most ``count`` maps, each the sum of channels that light up in the same places.

    Channels are grouped by k-means over their normalised maps, so that all of them take part,
    however few forward passes there are. With as many groups as channels this is Score-CAM itself.

    Args:
        maps: Shape ``(channels, depth, height, width)``.
        count: The most maps to return, at least 1.

    Returns:
        Shape ``(groups, depth, height, width)``, the strongest group first. Channels that are the
        same everywhere point nowhere and are left out; there may be no group at all.
    """
    channels = maps.flatten(1)
    spread = channels.amax(1) - channels.amin(1)
    maps, channels = maps[spread > 0], channels[spread > 0]
    if len(maps) > count:
        shapes = normalize_maps(maps).flatten(1).double().cpu().numpy()
        shapes = shapes / np.linalg.norm(shapes, axis=1, keepdims=True)
        _, members = kmeans2(shapes, count, minit="++", seed=0, missing="warn")
        groups = [maps[torch.from_numpy(members == group)] for group in range(count)]
        maps = torch.stack([group.sum(0) for group in groups if len(group)])
    energy = maps.flatten(1).square().sum(1)
    return maps[energy.argsort(descending=True, stable=True)]


def normalize_maps(maps: Tensor) -> Tensor:
    """Stretch each map to [0, 1] over its whole scan: all slices, rows and columns together.

    A slice in which a channel stays dark stays dark, instead of being stretched to full brightness
    by itself.
    """
    axes = tuple(range(1, maps.ndim))
    low, high = maps.amin(axes, keepdim=True), maps.amax(axes, keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)
