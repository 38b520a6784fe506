"""NPY arrays on disk, in the layout of the authors' data set: depth last."""

from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from raddiag_hf.imaging.intensity import finite_scan
from raddiag_hf.imaging.scan import ReadLimits, Scan, ScanReadError, ScanReadReason


def read_npy(path: Path, limits: ReadLimits) -> Scan:
    """Read an array as a scan, never unpickling anything.

    - ``(height, width)``: a picture.
    - ``(height, width, depth)``: a volume, depth last as in RP3D-DiagDS; transposed here.
    - ``(height, width, 3)`` with three equal channels: still three equal slices, as the
      reference reads it, but marked as a picture; the image processor decides.

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
    height, width, depth = shape if len(shape) == 3 else (*shape, 1)
    limits.check(path, depth, height, width)
    if prod(shape) * dtype.itemsize > num_data_bytes:
        raise ScanReadError(
            path,
            ScanReadReason.CORRUPT,
            f"{num_data_bytes} bytes of data for shape {shape} of {dtype}: truncated",
        )
    with np.errstate(over="ignore"):
        array = np.load(path, allow_pickle=False).astype(np.float32)
    volume = np.ascontiguousarray(np.moveaxis(np.atleast_3d(array), -1, 0))
    is_picture = _is_picture(volume)
    return finite_scan(path, "npy", volume[:1] if is_picture else volume, is_picture=is_picture)


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


def _is_picture(volume: NDArray[np.float32]) -> bool:
    if len(volume) == 1:
        return True
    return len(volume) == 3 and all(
        np.array_equal(volume[0], slice_, equal_nan=True) for slice_ in volume[1:]
    )
