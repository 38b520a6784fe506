"""Stored values: the frames of a DICOM file counted and decoded, against what its header says."""

import os
import struct
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import chain, islice
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels import iter_pixels

from raddiag_hf.imaging.dicom.compression import (
    LOSSLESS_SYNTAXES,
    Codestream,
    is_codestream,
    is_decoded,
    plugin_for,
    read_codestream,
)
from raddiag_hf.imaging.dicom.file import PIXEL_KEYWORDS, BoundedReader, DicomFile, Tags
from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason

_SINGLE_FRAME = frozenset(
    {uid.CTImageStorage, uid.MRImageStorage, uid.PositronEmissionTomographyImageStorage}
)
"""Objects of one frame by definition: more bytes than it needs are padding."""

_ITEM = (0xFFFE, 0xE000)
_SEQUENCE_END = struct.pack("<2HI", 0xFFFE, 0xE0DD, 0)
_LONG_HEADER_BYTES = 12
"""Of an element with an explicit VR and a length of four bytes."""
_UNDEFINED_LENGTH = 0xFFFFFFFF
_OVERSHOOT_SHIFT = 3
"""Lossy compression goes beyond the range by little: an eighth of it at most."""


def count_frames(file: DicomFile, declared: int, limit: int) -> int:
    """Return how many frames the pixel data holds, where that is more than the header says.

    Frames are bytes divided by the size of one; of compressed data, the fragments that begin a
    codestream. Fewer frames than declared show when they are decoded.

    Args:
        file: With pixels.
        declared: ``NumberOfFrames``, 1 where it is absent.
        limit: Stop counting beyond this.
    """
    tags = Tags(file.header)
    if uid.UID(tags.text("SOPClassUID")) in _SINGLE_FRAME or not _is_known(file.transfer_syntax):
        return declared
    if any(keyword in file.header for keyword in PIXEL_KEYWORDS):
        length = sum(len(file.header.get(keyword, b"")) for keyword in PIXEL_KEYWORDS)
        return max(declared, _native_frames(file.header, length, declared))
    assert file.pixel_offset is not None, "callers have refused files without pixels"
    with BoundedReader(file.path) as stream:
        stream.seek(file.pixel_offset)
        length = _value_length(stream.read(_LONG_HEADER_BYTES), file.transfer_syntax)
        if not file.transfer_syntax.is_encapsulated:
            remaining = file.path.stat().st_size - stream.tell()
            return max(declared, _native_frames(file.header, min(length, remaining), declared))
        if length != _UNDEFINED_LENGTH:
            return declared
        return max(declared, _encapsulated_frames(stream, file.transfer_syntax, limit))


def _is_known(syntax: uid.UID) -> bool:
    return syntax.is_transfer_syntax and (not syntax.is_encapsulated or is_decoded(syntax))


def _value_length(element: bytes, syntax: uid.UID) -> int:
    """Return the length that the header of the pixel data element declares."""
    order = "<" if syntax.is_little_endian else ">"
    is_explicit = element[4:6].isalpha()  # whatever the syntax says: some files lie
    length = element[8:12] if is_explicit else element[4:8]
    return int(struct.unpack(f"{order}I", length)[0]) if len(length) == 4 else 0


def _native_frames(header: Dataset, num_bytes: int, declared: int) -> int:
    tags = Tags(header)
    sizes = (tags.number(name) for name in ("Rows", "Columns", "BitsAllocated"))
    bits = int(np.prod([int(size or 0) for size in sizes], dtype=np.int64))
    bits *= int(tags.number("SamplesPerPixel") or 1)
    if _says_422(header):
        bits = bits if _is_not_subsampled(tags, num_bytes, declared) else bits * 2 // 3
    return 8 * num_bytes // bits if bits > 0 else 0


def _encapsulated_frames(stream: BoundedReader, syntax: uid.UID, limit: int) -> int:
    """Count the fragments that begin a frame; the first item is the offset table."""
    num_frames = 0
    for head, _ in islice(_items(stream), 1, None):
        num_frames += syntax == uid.RLELossless or is_codestream(head)
        if num_frames > limit:
            break
    return num_frames


def _items(stream: BoundedReader) -> Iterator[tuple[bytes, int]]:
    """Yield the first bytes of each item of encapsulated data, and where it ends in the file."""
    item = stream.read(8)
    while len(item) == 8 and struct.unpack("<2H", item[:4]) == _ITEM:
        end = stream.tell() + int(struct.unpack("<I", item[4:])[0])
        yield stream.read(12), end
        stream.seek(end)
        item = stream.read(8)


def _says_422(header: Dataset) -> bool:
    return Tags(header).text("PhotometricInterpretation") == "YBR_FULL_422"


def _is_not_subsampled(tags: Tags, num_bytes: int, num_frames: int) -> bool:
    """Tell whether YBR_FULL_422 is a lie: there are three bytes a pixel, where it has two."""
    pixels = int(tags.number("Rows") or 0) * int(tags.number("Columns") or 0)
    bytes_each = int(tags.number("BitsAllocated") or 8) // 8
    return num_bytes >= 3 * bytes_each * pixels * num_frames > 0


def is_lossy(file: DicomFile) -> bool:
    """Tell whether pixels may have changed by compression, now or before."""
    syntax = file.transfer_syntax
    is_now = syntax.is_encapsulated and syntax not in LOSSLESS_SYNTAXES
    return is_now or Tags(file.header).text("LossyImageCompression") == "01"


def decode_frames(file: DicomFile, indices: Sequence[int]) -> Iterator[NDArray[np.generic]]:
    """Decode frames of a file one after another.

    Where header and codestream contradict each other, the codestream is right about the order of
    its colours and the header about the bits that are stored: others are an overlay's, or copies of
    the sign.

    Args:
        file: The file; each call reads its pixel data once.
        indices: Which frames, from 0, ascending.

    Yields:
        Stored values, shape ``(rows, columns)`` or, in RGB, ``(rows, columns, 3)``.

    Raises:
        ScanReadError: ``CORRUPT`` for truncated or broken data and for a codestream larger than
            the header says, ``UNSUPPORTED`` for an encoding without decoder.
    """
    path, syntax = file.path, file.transfer_syntax
    if not syntax.is_transfer_syntax:
        # A private UID may name the institution.
        name = str(syntax) if syntax.startswith("1.2.840.10008.") else "one of its vendor's own"
        raise ScanReadError(
            path, ScanReadReason.UNSUPPORTED, f"its transfer syntax, {name}, has no decoder here"
        )
    dataset = _with_pixels(file)
    codestreams = _checked_codestreams(file, dataset) if syntax.is_encapsulated else None
    corrections = _corrections(dataset, syntax, file.num_frames)
    asked: list[list[int] | None] = [list(indices)]
    if syntax.is_encapsulated and asked[0] == list(range(file.num_frames)):
        asked = [None]  # pydicom then walks through the frames once, not from the start for each
    elif not syntax.is_encapsulated and _says_422(dataset):
        asked = [[index] for index in indices]  # pydicom 3.0.2 takes a second one for YBR_FULL
    frames = chain.from_iterable(
        iter_pixels(dataset, indices=some, decoding_plugin=plugin_for(syntax), **corrections)
        for some in asked
    )
    for index in indices:
        frame = next(frames, None)
        if frame is None or (codestreams is not None and index >= len(codestreams)):
            raise ScanReadError(path, ScanReadReason.CORRUPT, "fewer frames than its header says")
        if codestreams is not None:
            _correct_bits(frame, dataset, codestreams[index], syntax)
        yield frame


def _with_pixels(file: DicomFile) -> Dataset:
    """Return the header and the pixel data together, without parsing the header again."""
    header = file.header
    if any(keyword in header for keyword in PIXEL_KEYWORDS):
        return header
    assert file.pixel_offset is not None, "callers have refused files without pixels"
    syntax = file.transfer_syntax
    with BoundedReader(file.path) as stream:
        stream.seek(file.pixel_offset)
        pixels = _pixel_elements(stream, syntax)
        if not pixels and syntax.is_encapsulated:
            stream.seek(file.pixel_offset)
            pixels = _pixel_elements(_with_delimiter(file, stream), syntax)
    dataset = Dataset()
    dataset.update(header)
    dataset.update(pixels)
    dataset.file_meta = header.file_meta
    return dataset


def _pixel_elements(stream: BinaryIO, syntax: uid.UID) -> Dataset:
    elements = read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian)
    return Dataset({one.tag: one for one in elements if one.keyword in PIXEL_KEYWORDS})


def _with_delimiter(file: DicomFile, stream: BoundedReader) -> BinaryIO:
    """Return the pixel data with the end mark that some writers leave out.

    Raises:
        ScanReadError: ``CORRUPT`` if more than that mark is missing.
    """
    whole = stream.read()
    stream.seek(-len(whole) + _LONG_HEADER_BYTES, os.SEEK_END)
    ends = [end for _, end in _items(stream)]
    if not ends or ends[-1] != file.path.stat().st_size:
        raise ScanReadError(
            file.path, ScanReadReason.CORRUPT, "compressed pixel data without an end: truncated"
        )
    return BytesIO(whole + _SEQUENCE_END)


def _checked_codestreams(file: DicomFile, dataset: Dataset) -> list[Codestream | None]:
    """Return what each frame claims; refuse one that would decode to more than announced."""
    announced = int(dataset.Rows) * int(dataset.Columns)
    codestreams = []
    for frame in generate_frames(dataset.PixelData, number_of_frames=file.num_frames):
        claims = read_codestream(frame)
        if claims is not None and claims.rows * claims.columns > announced:
            raise ScanReadError(
                file.path,
                ScanReadReason.CORRUPT,
                f"a codestream of {claims.rows}x{claims.columns} under a header of "
                f"{dataset.Rows}x{dataset.Columns}",
            )
        codestreams.append(claims)
    return codestreams


def _corrections(dataset: Dataset, syntax: uid.UID, num_frames: int) -> dict[str, Any]:
    """Return what pydicom shall believe instead of the header."""
    corrections: dict[str, Any] = {"number_of_frames": num_frames}
    if not syntax.is_encapsulated:
        num_bytes = len(dataset.get("PixelData", b""))
        if _says_422(dataset) and _is_not_subsampled(Tags(dataset), num_bytes, num_frames):
            corrections["photometric_interpretation"] = "YBR_FULL"
        return corrections
    corrections |= {
        "planar_configuration": 0,
        # pydicom corrects some encodings, and others not; `_correct_bits` corrects all.
        "apply_j2k_sign_correction": False,
        "apply_jls_sign_correction": False,
        "correct_unused_bits": False,
    }
    if syntax == uid.JPEGBaseline8Bit:
        corrections["bits_allocated"] = 8
        corrections["bits_stored"] = min(8, int(dataset.BitsStored))
    return corrections


def _correct_bits(
    frame: NDArray[np.generic], dataset: Dataset, claims: Codestream | None, syntax: uid.UID
) -> None:
    """Leave in place only the bits that are stored, the highest of them being the sign of signed.

    Lossy compression may go a little beyond them; that is cut off, for it would turn white black.

    Source:
        DICOM PS3.5, 8.1.1. Of sign and precision that contradict each other: as pydicom 3.
    """
    bits_there = 8 * frame.dtype.itemsize
    bits = min(int(dataset.BitsStored), bits_there)
    is_signed = int(dataset.PixelRepresentation) == 1
    has_other_sign = claims is not None and claims.is_signed != is_signed
    if claims is not None and has_other_sign and syntax not in _WITHOUT_OWN_PRECISION:
        bits = min(bits, claims.precision)
    unused = bits_there - bits
    if unused == 0:
        return
    if syntax not in LOSSLESS_SYNTAXES and not has_other_sign:
        least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)
        margin = (most - least) >> _OVERSHOOT_SHIFT
        if int(frame.max()) <= most + margin and int(frame.min()) >= least - margin:
            np.clip(frame, least, most, out=frame)
            return
    np.left_shift(frame, unused, out=frame)
    np.right_shift(frame, unused, out=frame)


_WITHOUT_OWN_PRECISION = (
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
)
"""Encodings of which the header's word on the bits is taken, whatever their codestreams say."""
