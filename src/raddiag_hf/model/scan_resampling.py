"""Resampling: one scan at the size, depth and range that the model reads, by pure functions."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class PictureError(ValueError):
    """An array that is not a scan: what was expected and what was found."""


def as_stack(scan: Any, grey_picture_slices: int) -> Tensor:
    """Return a scan as a float32 stack of slices, ``(depth, height, width)``.

    Args:
        scan: Array or tensor, ``(height, width)`` or ``(depth, height, width)``.
        grey_picture_slices: Slices that a picture becomes: a 2D array, or three equal slices.

    Raises:
        PictureError: If it is no array of real numbers, has another number of axes or an empty one,
            has its colours last, or holds values that are not finite.
    """
    if isinstance(scan, Tensor):
        scan = scan.detach().cpu()
        scan = scan.float().numpy() if scan.dtype == torch.bfloat16 else scan.numpy()
    array = np.asarray(scan)
    if array.dtype.kind not in "biuf":
        raise PictureError(f"is of type {array.dtype}, expected real numbers")
    shape = array.shape
    if array.ndim not in (2, 3) or 0 in shape:
        raise PictureError(f"has shape {shape}, expected (height, width) or (depth, height, width)")
    if array.ndim == 3 and shape[2] in (3, 4) and min(shape[:2]) > 2 * shape[2]:
        raise PictureError(
            f"has shape {shape}, a picture with its colours last; expected (height, width) or "
            "(depth, height, width): make it grey first"
        )
    with np.errstate(over="ignore"):  # what overflows is found below
        stack = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
    if not bool(torch.isfinite(stack).all()):
        raise PictureError("holds values that are not finite")
    if stack.ndim == 2:
        return stack.expand(grey_picture_slices, -1, -1)
    if len(stack) == 3 and torch.equal(stack[0], stack[1]) and torch.equal(stack[0], stack[2]):
        return stack[:grey_picture_slices]
    return stack


def sampled_slices(depth: int, max_slices: int) -> Tensor:
    """Return the indices of the slices that are kept, uniformly spread and the first among them.

    Source:
        ``floor(i * depth / max_slices)``, as the reference picks them.
    """
    if depth <= max_slices:
        return torch.arange(depth)
    return torch.arange(max_slices) * depth // max_slices


def source_slice(encoded_slice: int, source_slices: int, encoded_slices: int) -> int:
    """Return the index in the scan as read of one of its encoded slices.

    The rule of `sampled_slices` leaves a scan that was not resampled as it is, and sends the equal
    slices that a picture may become to the picture.
    """
    return encoded_slice * source_slices // encoded_slices


def nearest_sampled_slice(key_slice: int | None, depth: int, max_slices: int) -> int:
    """Return where the key slice lies among the kept slices; -1 if unknown or outside the scan."""
    if key_slice is None or not 0 <= int(key_slice) < depth:
        return -1
    return int((sampled_slices(depth, max_slices) - int(key_slice)).abs().argmin())


def resize_slices(stack: Tensor, size: int, antialias: bool) -> Tensor:
    """Resize every slice to ``size`` x ``size``, bilinear: ``(depth, size, size)``.

    Interpolation stays within the range of its input, so rounding beyond it is cut off: a constant
    scan stays exactly constant, and its rounding errors are not stretched into noise.
    """
    if stack.shape[1:] == (size, size):
        return stack
    resized = F.interpolate(
        stack[:, None], size=(size, size), mode="bilinear", align_corners=False, antialias=antialias
    )[:, 0]
    return resized.clamp(stack.min(), stack.max())


def stretch_to_unit_range(stack: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Map [low, high] to [0, 1]; where they are equal there is no contrast, so all is 0.

    Source:
        Feature scaling of the paper, section 4.4. The reference turns a constant scan into noise.
    """
    if not high > low:
        return torch.zeros_like(stack)
    if not bool(torch.isfinite(high - low)):  # the range itself overflows float32
        stack, low, high = stack / 4, low / 4, high / 4
    return (stack - low) / (high - low)
