"""Which decoder each DICOM encoding gets: one that survives broken data.

pydicom tries every plugin that it finds, GDCM first where that is installed. GDCM answers some
corrupt JPEG data by ending the process, which no caller can catch, so each encoding is bound to
one decoder here. For lossless and 12-bit JPEG, where pydicom offers GDCM and GPL code alone, and
for JPEG-LS, this module is the plugin: libjpeg-turbo 3 and CharLS through imagecodecs.
"""

import imagecodecs
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

_PLUGIN = "imagecodecs"
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


def is_available(uid: str) -> bool:
    """Tell pydicom which transfer syntaxes the plugin of this module decodes."""
    return uid in _OWN_SYNTAXES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the decoded bytes of one frame: 8 bits a sample where they suffice, else 16.

    Colour stays in the space of the file; pydicom converts it.
    """
    if runner.transfer_syntax in JPEGLSTransferSyntaxes:
        pixels = imagecodecs.jpegls_decode(source)
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
