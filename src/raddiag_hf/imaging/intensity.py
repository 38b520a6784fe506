"""Intensities: colour to grey, rescaling, display windows, inversion, padding, finite values."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_rescale, apply_windowing
from scipy import ndimage

from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    Scan,
    ScanReadError,
    ScanReadReason,
    decision,
    file_scan_id,
)
from raddiag_hf.vocabulary import Plane

_LUMINANCE = np.asarray([0.299, 0.587, 0.114], dtype=np.float32)


def is_grey(channels: NDArray[np.generic]) -> bool:
    """Tell whether the three channels of an RGB image, its last axis, are equal everywhere."""
    red, green, blue = (channels[..., channel] for channel in range(3))
    return np.array_equal(red, green) and np.array_equal(red, blue)


def to_grey(channels: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return the luminance of an RGB image, its last axis being the channels.

    Three equal channels give their value exactly.

    Source:
        ITU-R BT.601 weights, as Pillow's ``convert("L")``, without its rounding to 8 bits.
    """
    if is_grey(channels):
        return channels[..., 0].astype(np.float32)
    return channels[..., :3].astype(np.float32) @ _LUMINANCE


def to_modality_values(stored: NDArray[np.generic], tags: Dataset) -> NDArray[np.float32]:
    """Return what stored values mean: Hounsfield units for CT.

    Args:
        stored: Decoded pixels of one frame.
        tags: The frame's ``RescaleSlope`` and ``RescaleIntercept``, or ``ModalityLUTSequence``.

    Source:
        DICOM PS3.3 C.11.1.
    """
    if tags.get("ModalityLUTSequence"):
        return _look_up(stored, tags.ModalityLUTSequence[0], tags)
    # One without the other occurs; absent means 1 and 0.
    if tags.get("RescaleSlope") is None and tags.get("RescaleIntercept") is not None:
        return stored.astype(np.float32) + np.float32(tags.RescaleIntercept)
    if tags.get("RescaleIntercept") is None and tags.get("RescaleSlope") is not None:
        return stored.astype(np.float32) * np.float32(tags.RescaleSlope)
    if tags.get("RescaleSlope") is None:
        return stored.astype(np.float32)
    return apply_rescale(stored, tags).astype(np.float32)


def has_display_window(tags: Dataset) -> bool:
    """Tell whether a frame carries a VOI lookup table or window."""
    return bool(tags.get("VOILUTSequence")) or (
        tags.get("WindowCenter") is not None and tags.get("WindowWidth") is not None
    )


def apply_display_window(values: NDArray[np.float32], tags: Dataset) -> NDArray[np.float32]:
    """Apply the first VOI lookup table, or else the first VOI window, of a frame.

    Args:
        values: Modality values of one frame.
        tags: The frame's VOI LUT module and the image pixel module that it depends on.

    Raises:
        ValueError: If the window or the table is malformed; pydicom raises others, too.

    Source:
        DICOM PS3.3 C.11.2: linear, linear exact, sigmoid.
    """
    if tags.get("VOILUTSequence"):
        return _look_up(values, tags.VOILUTSequence[0], tags)
    return apply_windowing(values, tags).astype(np.float32)


def _look_up(values: NDArray[np.generic], table: Dataset, tags: Dataset) -> NDArray[np.float32]:
    """Map values through a LUT item; those beyond its ends take its first or last entry.

    pydicom's own ``apply_voi`` wraps indices around at 8 and 16 bits, hence this.
    """
    num_entries, first, _bits = (int(number) for number in table.LUTDescriptor)
    num_entries = num_entries or 65_536
    if first > 0x7FFF and values.max() < first:
        first -= 0x10000  # it is signed where values are, and writers forget that
    data = table.LUTData
    if isinstance(data, bytes):
        word = ">u2" if tags.original_encoding[1] is False else "<u2"
        entries = np.frombuffer(data, dtype=word if len(data) >= 2 * num_entries else "u1")
    else:
        entries = np.atleast_1d(np.asarray(data))
    entries = entries[:num_entries].astype(np.float32)
    if entries.size == 0:
        raise ValueError("a lookup table without entries")
    indices = np.clip(np.rint(values).astype(np.int64) - first, 0, entries.size - 1)
    return entries[indices]


def invert(volume: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn bright to dark within the range of the volume: MONOCHROME1 to MONOCHROME2."""
    return (volume.min() + volume.max()) - volume


def fill_nan_padding(volume: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Replace NaN that pads the image by its least value; return the volume and how many.

    Padding is NaN that reaches the border of its slice through NaN: what resampling and skull
    stripping leave around the image. Any other NaN is a hole in the data.

    Args:
        volume: Shape ``(depth, height, width)``.

    Raises:
        ValueError: If values are infinite, NaN lies within the image, or nothing is finite.
    """
    # NaN and infinity survive into these two, without a mask of the whole volume.
    if np.isfinite(volume.min()) and np.isfinite(volume.max()):
        return volume, 0
    finite = np.isfinite(volume)
    num_infinite = int(np.isinf(volume).sum())
    if num_infinite:
        raise ValueError(f"{num_infinite} infinite values")
    if not finite.any():
        raise ValueError("nothing but NaN")
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    filled = ndimage.binary_fill_holes(finite, structure=in_plane)
    num_holes = int((filled & ~finite).sum())
    if num_holes:
        raise ValueError(f"{num_holes} NaN within the image")
    num_padding = int(volume.size - finite.sum())
    return np.where(finite, volume, volume[finite].min()), num_padding


UNKNOWN_SPACING = (float("nan"), float("nan"), float("nan"))


def all_finite(
    path: Path, volume: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[Decision]]:
    """Return the volume with NaN padding filled, and the record of it.

    Raises:
        ScanReadError: ``BAD_VALUES`` if values within the image are NaN or infinite.
    """
    try:
        volume, num_filled = fill_nan_padding(volume)
    except ValueError as error:
        raise ScanReadError(path, ScanReadReason.BAD_VALUES, str(error)) from None
    if num_filled:
        return volume, [decision(DecisionKind.NAN_PADDING_FILLED, num_voxels=num_filled)]
    return volume, []


def finite_scan(
    path: Path,
    file_format: str,
    volume: NDArray[np.float32],
    *,
    decisions: tuple[Decision, ...] = (),
    plane: Plane = Plane.UNKNOWN,
    spacing_mm: tuple[float, float, float] = UNKNOWN_SPACING,
    is_picture: bool = False,
) -> Scan:
    """Return the scan of a file that carries neither modality nor anatomy.

    Raises:
        ScanReadError: ``BAD_VALUES`` if values within the image are NaN or infinite.
    """
    volume, filled = all_finite(path, volume)
    return Scan(
        volume=volume,
        modality=None,
        plane=plane,
        spacing_mm=spacing_mm,
        is_picture=is_picture,
        provenance={
            "path": str(path),
            "format": file_format,
            "num_files": 1,
            "decisions": [*decisions, *filled],
        },
        scan_id=file_scan_id(path),
    )
