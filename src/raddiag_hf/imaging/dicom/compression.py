"""Compression: which decoder each encoding gets, and what a codestream claims undecoded.

Each gets a decoder that survives broken data.

pydicom tries every plugin that it finds, GDCM first where that is installed. GDCM answers some
corrupt JPEG data by ending the process, which no caller can catch, so each encoding is bound to
one decoder here. For lossless and 12-bit JPEG, where pydicom offers GDCM and GPL code alone, and
for JPEG-LS, this module is the plugin: libjpeg-turbo 3 and CharLS through imagecodecs.
"""

import struct
from dataclasses import dataclass

import imagecodecs
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

_PLUGIN = "imagecodecs"
_END_OF_IMAGE = b"\xff\xd9"
_OWN_SYNTAXES = (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, *JPEGLSTransferSyntaxes)
_PLUGINS = {
    JPEGBaseline8Bit: "pillow",
    RLELossless: "pydicom",
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
    **dict.fromkeys(_OWN_SYNTAXES, _PLUGIN),
}

DECODER_DEPENDENCIES = dict.fromkeys(_OWN_SYNTAXES, ("imagecodecs>=2024.12.30",))
"""What pydicom asks of a plugin: the packages that each transfer syntax needs."""


def plugin_for(transfer_syntax: UID) -> str:
    """Return the name of the pydicom plugin that decodes an encoding; empty: pydicom itself."""
    return _PLUGINS.get(transfer_syntax, "")


LOSSLESS_SYNTAXES = (
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
)
"""Encodings that give back every bit of what was encoded."""


def is_decoded(transfer_syntax: UID) -> bool:
    """Tell whether a compressed encoding has a decoder here."""
    return transfer_syntax in _PLUGINS


def is_available(uid: str) -> bool:
    """Tell pydicom which transfer syntaxes the plugin of this module decodes."""
    return uid in _OWN_SYNTAXES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the decoded bytes of one frame: 8 bits a sample where they suffice, else 16.

    Colour stays in the space of the file; pydicom converts it.
    """
    if runner.transfer_syntax in JPEGLSTransferSyntaxes:
        # CharLS 2.4 searches for seconds for the end of a stream that was cut off.
        has_end = source.rstrip(b"\0").endswith(_END_OF_IMAGE)
        pixels = imagecodecs.jpegls_decode(source if has_end else source + _END_OF_IMAGE)
    else:
        # Naming one space for both sides keeps libjpeg from converting.
        space = "RGB" if runner.samples_per_pixel == 3 else None
        pixels = imagecodecs.jpeg8_decode(source, colorspace=space, outcolorspace=space)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    if runner.samples_per_pixel == 3:
        runner.set_option("planar_configuration", 0)
    decoded: bytes = pixels.tobytes()
    return decoded


for _syntax in _OWN_SYNTAXES:
    _decoder = get_decoder(_syntax)
    if _PLUGIN not in _decoder.available_plugins:
        _decoder.add_plugin(_PLUGIN, (__name__, "decode_frame"))


_JPEG = b"\xff\xd8"
_JPEG_2000 = b"\xff\x4f\xff\x51"
_JP2_BOX = b"\0\0\0\x0cjP  "
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
"""JPEG markers that stand alone: TEM, restart, start of image."""
_NO_FRAME_HEADER = {0xC4, 0xC8, 0xCC}
"""Markers among the start-of-frame ones that are none: DHT, JPG, DAC."""


@dataclass(frozen=True)
class Codestream:
    """What the header of a codestream claims.

    Attributes:
        rows: Of the image.
        columns: Likewise.
        precision: Bits of a sample.
        is_signed: Whether samples are signed; only JPEG 2000 can say so.
    """

    rows: int
    columns: int
    precision: int
    is_signed: bool = False


def is_codestream(head: bytes) -> bool:
    """Tell whether bytes begin a JPEG, JPEG-LS or JPEG 2000 codestream, in a JP2 file or not."""
    return head.startswith((_JPEG, _JPEG_2000, _JP2_BOX))


def read_codestream(codestream: bytes) -> Codestream | None:
    """Return what a JPEG, JPEG-LS or JPEG 2000 codestream claims.

    A header may announce 10 x 10 while the codestream asks its decoder for gigabytes.

    Returns:
        None where it is none of these (RLE), or its header cannot be followed.

    Raises:
        ValueError: For JPEG 2000 boxes that lead nowhere; pydicom 3.0.2 would follow them forever.

    Source:
        ITU-T T.81 (JPEG) and T.87 (JPEG-LS) frame headers; T.800 (JPEG 2000) SIZ marker.
    """
    if codestream.startswith(_JP2_BOX):
        return _read_jpeg_2000(codestream[_start_in_boxes(codestream) :])
    if codestream.startswith(_JPEG_2000):
        return _read_jpeg_2000(codestream)
    if codestream.startswith(_JPEG):
        return _read_jpeg(codestream)
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


def _read_jpeg_2000(codestream: bytes) -> Codestream | None:
    if len(codestream) < 43:
        return None
    right, bottom, left, top = struct.unpack(">4I", codestream[8:24])
    depth = codestream[42]  # of the first component: sign, and bits but one
    return Codestream(bottom - top, right - left, (depth & 0x7F) + 1, is_signed=depth >= 0x80)


def _read_jpeg(codestream: bytes) -> Codestream | None:
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
            precision, rows, columns = struct.unpack(
                ">B2H", codestream[position + 4 : position + 9]
            )
            return Codestream(rows, columns, precision)
        (length,) = struct.unpack(">H", codestream[position + 2 : position + 4])
        position += 2 + length
    return None
