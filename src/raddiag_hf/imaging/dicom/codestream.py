"""The size that a compressed image itself claims, without decoding it."""

import struct

_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\0\0\0\x0cjP  "
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
"""JPEG markers that stand alone: TEM, restart, start of image."""
_NO_FRAME_HEADER = {0xC4, 0xC8, 0xCC}
"""Markers among the start-of-frame ones that are none: DHT, JPG, DAC."""


def codestream_size(codestream: bytes) -> tuple[int, int] | None:
    """Return rows and columns that a JPEG, JPEG-LS or JPEG 2000 codestream claims.

    A header may announce 10 x 10 while the codestream asks its decoder for gigabytes.

    Returns:
        None where it is none of these (RLE), or its header cannot be followed.

    Raises:
        ValueError: For JPEG 2000 boxes that lead nowhere; pydicom 3.0.2 would follow them forever.

    Source:
        ITU-T T.81 (JPEG) and T.87 (JPEG-LS) frame headers; T.800 (JPEG 2000) SIZ marker.
    """
    if codestream.startswith(_JP2_BOX):
        return _jpeg_2000_size(codestream[_start_in_boxes(codestream) :])
    if codestream.startswith(_JPEG_2000):
        return _jpeg_2000_size(codestream)
    if codestream.startswith(_JPEG):
        return _jpeg_size(codestream)
    return None


def _start_in_boxes(codestream: bytes) -> int:
    """Return where the codestream begins within the boxes of a JP2 file."""
    offset = 12  # the signature box, whatever its content
    while offset + 8 <= len(codestream):
        length, kind = struct.unpack(">I4s", codestream[offset : offset + 8])
        if kind == b"jp2c":
            return offset + 8
        if length < 8:
            break
        offset += length
    raise ValueError("JPEG 2000 boxes without a codestream")


def _jpeg_2000_size(codestream: bytes) -> tuple[int, int] | None:
    if len(codestream) < 24:
        return None
    right, bottom, left, top = struct.unpack(">4I", codestream[8:24])
    return bottom - top, right - left


def _jpeg_size(codestream: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(codestream):
        if codestream[position] != 0xFF:
            return None
        marker = codestream[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _NO_LENGTH:
            position += 2
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            rows, columns = struct.unpack(">2H", codestream[position + 5 : position + 9])
            return rows, columns
        (length,) = struct.unpack(">H", codestream[position + 2 : position + 4])
        position += 2 + length
    return None
