"""Guard against foreign decoders: whatever they raise on a bad file leaves as a ScanReadError.

It stands where files come in, once for each: `reading.py`, and for files of which one may be lost
and not the others `dicom/scan.py` and `pictures.py`. What lies behind guards nothing by itself.
"""

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError

from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, HeaderTypeError
from pydicom.errors import BytesLengthException, InvalidDicomError

from raddiag_hf.core.errors import one_line
from raddiag_hf.imaging.file_at_work import at_work
from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason

FOREIGN_ERRORS: tuple[type[Exception], ...] = (
    # pydicom converts values lazily, so a bad byte surfaces wherever a tag is first looked at:
    # decimal.InvalidOperation and division by a zero LUT size, a failed `assert`, absent elements,
    # unknown encodings and indices, unsized or None values.
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    # The base of truncation, bad VR, UnicodeError, BytesLengthException, and most of Pillow,
    # NumPy and nibabel.
    ValueError,
    BufferError,
    EOFError,
    OSError,
    # No decoder, decoders that failed, RecursionError for sequences nested hundreds deep.
    RuntimeError,
    # Allocation by a codestream that claims more than its DICOM header.
    MemoryError,
    # Pillow: "broken PNG file".
    SyntaxError,
    struct.error,
    zlib.error,
    BytesLengthException,
    InvalidDicomError,
    ImageFileError,
    HeaderDataError,
    HeaderTypeError,
    TokenError,  # NumPy parses the header of an NPY file as a Python literal
)
"""What pydicom, its decoders, Pillow, nibabel, NumPy, gzip and zlib raise on bad files."""

_MAX_QUOTED = 200

_CHATTY_LOGGERS = (
    "pydicom",
    "pydicom.pixels.utils",
    "pydicom.pixels.decoders.base",
    "openjpeg.utils",
    "openjpeg._openjpeg",
    "jpeg_ls._CharLS",
    "nibabel.global",
)
"""Loggers that quote tag values, or print the traceback of what is about to be raised anyway."""


class _SilentWhileReading(logging.Filter):
    """Drops the records of the thread that is reading; other threads and other uses keep theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(self.here, "is_reading", False)


_SILENT = _SilentWhileReading()
for _name in _CHATTY_LOGGERS:
    logging.getLogger(_name).addFilter(_SILENT)


class _SilencedWarnings:
    """Warnings are off while any thread reads, and as they were when none does.

    Threads that each saved and restored the filters of the process would leave them as another
    thread had them.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.num_reading = 0
        self.saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self.lock:
            if self.num_reading == 0:
                self.saved = warnings.catch_warnings()
                self.saved.__enter__()
                warnings.simplefilter("ignore")
            self.num_reading += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.num_reading -= 1
            if self.num_reading == 0:
                self.saved.__exit__(None, None, None)


_WARNINGS = _SilencedWarnings()


@contextmanager
def only_scan_read_errors(path: Path, doing: str, *, quote: bool) -> Iterator[None]:
    """Turn what foreign decoders raise inside the block into a `ScanReadError` about ``path``.

    Warnings and logs of the decoders are silenced: they quote tag values, which may be a patient's.

    Args:
        path: The file that is being read.
        doing: What is being read, for the message: ``"the DICOM header"``.
        quote: Whether the message may quote the foreign one. False where the file's text values
            (names, dates of birth) can appear in it.

    Raises:
        ScanReadError: In place of any of these.
    """
    was_reading = getattr(_SILENT.here, "is_reading", False)
    _SILENT.here.is_reading = True
    with at_work(path), _WARNINGS:
        try:
            yield
        except ScanReadError:
            raise
        except FOREIGN_ERRORS as error:
            found = f"{doing} cannot be read: {_describe(error, quote)}"
            raise ScanReadError(path, _reason(error), found) from error
        finally:
            _SILENT.here.is_reading = was_reading


def _reason(error: Exception) -> ScanReadReason:
    if isinstance(error, FileNotFoundError):
        return ScanReadReason.NOT_FOUND
    if isinstance(error, MemoryError):
        return ScanReadReason.TOO_LARGE
    if isinstance(error, NotImplementedError):
        return ScanReadReason.UNSUPPORTED
    # Decoders raise OSError by hand for broken data; only the system's own carries an errno.
    if isinstance(error, OSError) and error.errno is not None:
        return ScanReadReason.UNREADABLE
    return ScanReadReason.CORRUPT


def _describe(error: Exception, quote: bool) -> str:
    name = type(error).__name__
    if _is_recursion(error):
        return "its sequences are nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    text = one_line(error, _MAX_QUOTED) if quote and str(error).strip() else ""
    return f"{name}: {text}" if text else name


def _is_recursion(error: BaseException | None) -> bool:
    """Tell whether recursion too deep is at the root; pydicom may raise OSError on top of it."""
    while error is not None and not isinstance(error, RecursionError):
        error = error.__cause__ or error.__context__
    return error is not None
