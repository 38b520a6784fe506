"""How the pixels of one scan are stored: 8 or 16 bits a voxel, compressed without further loss.

The rule. Whole-numbered intensities that fit the bits are stored as they are: pictures, and CT and
MRI as scanners write them. Everything else is quantised evenly between its minimum and maximum, to
65,535 steps, or to 255 where ``bits=8`` asks for it. The stored values times ``slope`` plus
``intercept`` are the intensities, at most ``max_error`` from those that came in: half a step, which
is 1/131,070 of the scan's range, or 1/510.

What the model sees of it: the image processor resizes, then stretches every scan to [0, 1]. Where
it has nothing left to resize, its pixels change by ``max_error`` over the range of the scan, half a
step; otherwise by twice ``max_error`` over the range that is left after resizing. 8 bits are the
resolution of the published pictures, but too few for a narrow CT window.

The trade. 8 bits take an eighth of a float32 array or less, and decode at half the speed at which
``.npy`` comes from a warm page cache, or as fast as it comes from disk. What decodes faster is
larger: ``benchmarks/storage.py``.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any, TypedDict

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raddiag_hf.data.store.storage_options import Bits

BLOCK_ROWS = 32
"""Summing up all rows one by one would take as long as decompression. So rows come in blocks: the
first row of a block builds on the first of the block before, and the n-th rows of all blocks are
summed at once. 1,024 rows then take 62 steps, for 3 % more bytes."""
MAX_DECODED_BYTES = 4 * 2**30
"""More than any scan needs (2,000 slices of 1,024 squared); a file that claims more is refused."""

# Higher levels save 4 to 7 % more, and decode more slowly: benchmarks/storage.py
_ZSTD = pa.Codec("zstd", compression_level=1)
_PLAIN, _ROW_DELTAS = "zstd", "row-delta+zstd"
_ROW_DELTA_GAIN = 0.95
_LARGEST_EXACT = 2**24  # float32 holds every whole number up to here

Values = NDArray[np.unsignedinteger[Any]]


class StoredVolume(TypedDict):
    """The pixels of one scan as a row of a data set holds them.

    Keys:
        data: Compressed values; for 16 bits first all low bytes, then all high bytes.
        codec: How ``data`` was compressed: ``"zstd"``, or ``"row-delta+zstd"`` after `row_deltas`.
        dtype: ``"uint8"`` or ``"uint16"``.
        shape: Depth, height, width of what is stored.
        slope, intercept: Intensity = stored value times ``slope`` plus ``intercept``.
        max_error: The largest absolute difference between a decoded and a given intensity, in the
            scan's own units; 0 where nothing was lost.
        source_shape: Depth, height, width of the scan as read, before any reduction.
    """

    data: bytes
    codec: str
    dtype: str
    shape: list[int]
    slope: float
    intercept: float
    max_error: float
    source_shape: list[int]


def encode_volume(
    volume: NDArray[np.float32],
    bits: Bits = 16,
    source_shape: tuple[int, int, int] | None = None,
) -> StoredVolume:
    """Compress one scan.

    Args:
        volume: Finite intensities, shape ``(depth, height, width)``.
        bits: The most bits that a stored value may take; 16 keep whole Hounsfield units.
        source_shape: The shape before a reduction; by default that of ``volume``.

    Raises:
        ValueError: If the volume is not a finite, non-empty stack of slices.
    """
    if volume.ndim != 3 or 0 in volume.shape:
        raise ValueError(
            f"shape is {volume.shape}, expected (depth, height, width), none of them 0"
        )
    low, high = float(volume.min()), float(volume.max())
    if not np.isfinite(high - low) or high - low > np.finfo(np.float32).max:
        raise ValueError(f"intensities run from {low} to {high}, expected finite float32 values")
    slope, dtype = _choose_scale(volume, low, high, bits)
    stored = np.empty(volume.shape, dtype)
    for into, values in zip(stored, volume, strict=True):
        np.rint((values - np.float64(low)) / slope, out=into, casting="unsafe")
    max_error = max(
        float(np.abs(_rescale(one, slope, low) - values).max())
        for one, values in zip(stored, volume, strict=True)
    )
    codec, data = _compress(stored)
    return {
        "data": data,
        "codec": codec,
        "dtype": stored.dtype.name,
        "shape": list(volume.shape),
        "slope": slope,
        "intercept": low,
        "max_error": max_error,
        "source_shape": list(source_shape or volume.shape),
    }


def decode_volume(volume: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the intensities of a stored scan, shape ``(depth, height, width)``.

    Raises:
        ValueError: If the record is damaged or was written by a newer version.
    """
    return _rescale(decode_stored_values(volume), volume["slope"], volume["intercept"])


def decode_stored_values(volume: Mapping[str, Any]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the stored values without their scale: a quarter or half of the memory, and faster.

    Enough wherever each scan is stretched to its own range afterwards.

    Raises:
        ValueError: If the record is damaged or was written by a newer version.
    """
    shape, dtype, codec = tuple(volume["shape"]), volume["dtype"], volume["codec"]
    if dtype not in ("uint8", "uint16") or codec not in (_PLAIN, _ROW_DELTAS):
        raise ValueError(
            f"stored as dtype {dtype!r}, codec {codec!r}; expected uint8 or uint16 and "
            f"{_PLAIN!r} or {_ROW_DELTAS!r}: written by a newer version?"
        )
    itemsize = np.dtype(dtype).itemsize
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(
            f"stored shape is {shape}, expected (depth, height, width), none of them 0"
        )
    num_bytes = shape[0] * shape[1] * shape[2] * itemsize
    if num_bytes > MAX_DECODED_BYTES:
        raise ValueError(f"stored shape is {shape}: {num_bytes} bytes, over {MAX_DECODED_BYTES}")
    try:
        buffer = _ZSTD.decompress(volume["data"], decompressed_size=num_bytes)
    except OSError as error:
        raise ValueError(f"the stored pixels of shape {shape} are damaged: {error}") from error
    planes = np.frombuffer(buffer, np.uint8).reshape(itemsize, *shape)
    values = planes[0] if itemsize == 1 else _join_bytes(planes[0], planes[1])
    if codec == _ROW_DELTAS:
        undo_row_deltas(values)
    return values


def _choose_scale(
    volume: NDArray[np.float32], low: float, high: float, bits: Bits
) -> tuple[float, type[np.unsignedinteger[Any]]]:
    """Return the step between stored values, and the smallest type that holds them."""
    span = high - low
    if span == 0:
        return 1.0, np.uint8
    is_whole = (
        span < 2**bits
        and max(-low, high) <= _LARGEST_EXACT
        and all(np.array_equal(values, np.rint(values)) for values in volume)
    )
    if is_whole:
        return 1.0, np.uint8 if span < 2**8 else np.uint16
    return span / (2**bits - 1), np.uint8 if bits == 8 else np.uint16


def _rescale(
    stored: NDArray[np.unsignedinteger[Any]], slope: float, intercept: float
) -> NDArray[np.float32]:
    intensities = stored.astype(np.float32)
    if slope != 1:
        intensities *= np.float32(slope)
    if intercept != 0:
        intensities += np.float32(intercept)
    return intensities


def _compress(stored: NDArray[np.unsignedinteger[Any]]) -> tuple[str, bytes]:
    """Return the codec that suits the scan, and its bytes.

    Row differences make pictures a third smaller; noisy volumes hardly gain, and skip the extra
    work at decoding.
    """
    plain = _ZSTD.compress(_byte_planes(stored), asbytes=True)
    by_row = _ZSTD.compress(_byte_planes(row_deltas(stored)), asbytes=True)
    if len(by_row) < _ROW_DELTA_GAIN * len(plain):
        return _ROW_DELTAS, by_row
    return _PLAIN, plain


def _byte_planes(values: NDArray[np.unsignedinteger[Any]]) -> bytes:
    if values.dtype == np.uint8:
        return values.tobytes()
    return (values & 0xFF).astype(np.uint8).tobytes() + (values >> 8).astype(np.uint8).tobytes()


def _join_bytes(low: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.uint16]:
    values = np.multiply(high, np.uint16(256), dtype=np.uint16)
    np.add(values, low, out=values)
    return values


def row_deltas(values: Values) -> Values:
    """Return the differences between rows, modulo the number of values of the type.

    Args:
        values: Unsigned integers, shape ``(depth, height, width)``.
    """
    deltas = values.copy()
    for (above, _), (_, row) in zip(_steps(values), _steps(deltas), strict=True):
        row -= above
    return deltas


def undo_row_deltas(deltas: Values) -> None:
    """Turn what `row_deltas` gave back into values, in place."""
    for above, row in _steps(deltas):
        row += above


def _steps(values: Values) -> Iterator[tuple[Values, Values]]:
    """Yield the rows to build on and the rows that build on them, in the order of undoing."""
    depth, height, width = values.shape
    in_blocks = height // BLOCK_ROWS * BLOCK_ROWS
    blocks = values[:, :in_blocks].reshape(depth, -1, BLOCK_ROWS, width)
    rest = values[:, max(0, in_blocks - 1) :]
    return chain(
        pairwise(blocks[:, :, 0].swapaxes(0, 1)),
        pairwise(blocks.transpose(2, 0, 1, 3)) if in_blocks else (),
        pairwise(rest.swapaxes(0, 1)),
    )
