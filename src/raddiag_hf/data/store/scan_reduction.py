"""Shrink scans before they are stored to what the image processor would make of them anyway."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.scan_resampling import nearest_sampled_slice, sampled_slices


def reduce_scan(
    scan: Scan, key_slice: int = -1, max_side: int | None = None, max_slices: int | None = None
) -> tuple[Scan, int]:
    """Return a scan of at most ``max_slices`` slices of at most ``max_side`` squared, and its key.

    Slices are picked and resized as `RadDiagImageProcessor` does by default, height and width each
    for itself, so a processor with ``image_size=max_side`` and the same ``max_slices`` makes the
    same of the result as of the whole scan. One that wants more pixels, or another antialiasing,
    does not: the reduction cannot be undone.

    Args:
        scan: The scan as read.
        key_slice: Index of its key slice, -1 where unknown.
        max_side: The most rows and the most columns; None keeps all.
        max_slices: The most slices; None keeps all.

    Returns:
        The scan, with the spacing of the voxels that it now has, and the index of the kept slice
        that is nearest to the key slice. A scan that is small enough comes back as it is.
    """
    depth, height, width = scan.volume.shape
    volume = torch.from_numpy(scan.volume)
    if max_slices is not None and depth > max_slices:
        volume = volume[sampled_slices(depth, max_slices)]
        key_slice = nearest_sampled_slice(key_slice, depth, max_slices)
    if max_side is not None and max(height, width) > max_side:
        volume = F.interpolate(
            volume[:, None],
            size=(min(height, max_side), min(width, max_side)),
            mode="bilinear",
            align_corners=False,
            antialias=True,
        )[:, 0]
    if tuple(volume.shape) == scan.volume.shape:
        return scan, key_slice
    scale = [before / now for before, now in zip(scan.volume.shape, volume.shape, strict=True)]
    along_depth, along_height, along_width = scan.spacing_mm
    spacing_mm = (along_depth * scale[0], along_height * scale[1], along_width * scale[2])
    return replace(scan, volume=volume.numpy(), spacing_mm=spacing_mm), key_slice
