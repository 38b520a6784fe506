"""NPY arrays on disk, whose axes nothing in the file names."""

from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from raddiag_hf.imaging.intensity import finite_scan
from raddiag_hf.imaging.read_settings import NpyDepth
from raddiag_hf.imaging.scan import (
    DecisionKind,
    ReadLimits,
    Scan,
    ScanReadError,
    ScanReadReason,
    decision,
)


def read_npy(path: Path, limits: ReadLimits, depth: NpyDepth = "auto") -> Scan:
    """Read an array as a scan, never unpickling anything.

    Two axes are a picture, three a volume; three equal slices are a picture, too.

    Args:
        path: The file.
        limits: How large it may be.
        depth: Which of three axes is the depth; `ReadSettings` has the rule of ``auto``. What was
            taken, and why, is recorded.

    Raises:
        ScanReadError: ``UNSUPPORTED`` for other ranks and for complex, text or object arrays,
            ``CORRUPT`` for a header that is broken or promises more than the file holds,
            ``TOO_LARGE`` beyond the limits, ``BAD_VALUES`` for NaN within the image and infinity.
    """
    shape, dtype, num_data_bytes = _read_header(path)
    if dtype.kind not in "biuf":
        raise ScanReadError(
            path, ScanReadReason.UNSUPPORTED, f"an array of {dtype}, expected numbers"
        )
    if len(shape) not in (2, 3):
        raise ScanReadError(
            path,
            ScanReadReason.UNSUPPORTED,
            f"an array of shape {shape}, expected (height, width) or (height, width, depth)",
        )
    axis, why = _depth_axis(shape, depth)
    num_slices = shape[axis] if len(shape) == 3 else 1
    height, width = shape if len(shape) == 2 else (*shape[:axis], *shape[axis + 1 :])
    limits.check(path, num_slices, height, width)
    if prod(shape) * dtype.itemsize > num_data_bytes:
        raise ScanReadError(
            path,
            ScanReadReason.CORRUPT,
            f"{num_data_bytes} bytes of data for shape {shape} of {dtype}: truncated",
        )
    with np.errstate(over="ignore"):
        array = np.load(path, allow_pickle=False).astype(np.float32)
    if depth == "auto" and shape[2:] == (3,) and _are_equal(np.moveaxis(array, 2, 0)):
        axis, why = 2, "three equal channels"
    volume = np.ascontiguousarray(np.moveaxis(np.atleast_3d(array), axis, 0))
    is_picture = len(volume) == 1 or (len(volume) == 3 and _are_equal(volume))
    taken = decision(
        DecisionKind.DEPTH_AXIS, axis="last" if axis else "first", why=why, shape=list(shape)
    )
    return finite_scan(
        path,
        "npy",
        volume[:1] if is_picture else volume,
        decisions=(taken,) if len(shape) == 3 else (),
        is_picture=is_picture,
    )


def _depth_axis(shape: tuple[int, ...], depth: NpyDepth) -> tuple[int, str]:
    """Return the axis of the depth, and why that one."""
    if len(shape) == 2 or depth != "auto":
        return (0 if depth == "first" and len(shape) == 3 else 2), "asked for"
    first, second, third = shape
    if 2 * first < min(second, third) or second == third != first:
        return 0, "its length"
    is_told = 2 * third < min(first, second) or first == second != third
    return 2, "its length" if is_told else "assumed"


def _read_header(path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    """Return shape, dtype and the number of bytes that follow the header."""
    with path.open("rb") as stream:
        version = npy_format.read_magic(stream)
        if version == (1, 0):
            shape, _, dtype = npy_format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, _, dtype = npy_format.read_array_header_2_0(stream)
        else:
            raise NotImplementedError(f"NPY version {version[0]}.{version[1]}")
        return shape, dtype, path.stat().st_size - stream.tell()


def _are_equal(slices: NDArray[np.float32]) -> bool:
    return all(np.array_equal(slices[0], other, equal_nan=True) for other in slices[1:])
