"""DICOM file: its header read once, and its tags read without trust."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO, FileIO
from itertools import islice
from math import isfinite
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from raddiag_hf.imaging.foreign_errors import FOREIGN_ERRORS
from raddiag_hf.imaging.formats import read_head
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DEFER_BYTES = 256 * 2**20
"""Header elements beyond this stay on disk; no tag that is read here comes near."""
_PIECE_BYTES, _HEADER_PIECES = 2**20, 64
"""What is inflated at once, and in how many pieces the header of a deflated file is looked for."""


@dataclass(frozen=True)
class DicomFile:
    """A DICOM file whose header is in memory and whose pixels are not.

    Attributes:
        path: Where it is.
        header: All elements before the pixel data.
        pixel_offset: Byte at which the pixel data element begins; None where there is none.
        syntax_guessed: The file did not name its transfer syntax.
        num_frames: Frames that its pixel data holds, once they are counted.
    """

    path: Path
    header: Dataset = field(repr=False)
    pixel_offset: int | None
    syntax_guessed: bool
    num_frames: int = 1

    @property
    def transfer_syntax(self) -> UID:
        """How its data set and pixels are encoded."""
        return self.header.file_meta.TransferSyntaxUID


class BoundedReader(BufferedReader):
    """A file that never allocates for more bytes than it has, whatever length a tag declares."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(str(path)))  # pydicom puts its name into messages, as text
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most so many bytes, and no more than there are."""
        remaining = max(0, self._size - self.tell())
        return super().read(remaining if size is None or size < 0 else min(size, remaining))


class _DeflatedError(Exception):
    """A data set is deflated; `position` is where it begins."""

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position


class _HeaderReader(BoundedReader):
    """A file of which all is asked for at once by whoever inflates it, and by nobody else."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most so many bytes.

        Raises:
            _DeflatedError: If all are asked for: they would be inflated without a limit.
        """
        if size is None or size < 0:
            raise _DeflatedError(self.tell())
        return super().read(size)


def open_dicom(path: Path, limits: ReadLimits, *, with_pixels: bool = True) -> DicomFile:
    """Read the header of a DICOM file, with or without preamble and transfer syntax.

    Args:
        path: The file.
        limits: How large it may be.
        with_pixels: Whether they may be asked for; else no more of a deflated file is inflated than
            its header can be long.

    Raises:
        ScanReadError: ``CORRUPT`` if it cannot be parsed (sequences nested too deeply included),
            ``TOO_LARGE`` if a deflated data set would inflate beyond the limits.
    """
    read_head(path)  # refuses what is no regular file
    with _HeaderReader(path) as stream:
        try:
            header = dcmread(stream, stop_before_pixels=True, force=True, defer_size=_DEFER_BYTES)
        except _DeflatedError as deflated:
            return _open_deflated(path, deflated.position, limits, with_pixels)
        pixel_offset: int | None = stream.tell()
        if stream.read(1) == b"":
            pixel_offset = None
    # Absent, or several where one belongs.
    guessed = not isinstance(header.file_meta.get("TransferSyntaxUID"), UID)
    if guessed:
        header.file_meta.TransferSyntaxUID = _guessed_syntax(header)
    return DicomFile(path, header, pixel_offset, guessed)


def _open_deflated(path: Path, position: int, limits: ReadLimits, with_pixels: bool) -> DicomFile:
    """Inflate a data set as a whole, so that an offset into the file says nothing."""
    if with_pixels:
        header = dcmread(BytesIO(_inflated(path, position, limits)), force=True)
    else:
        begin = b"".join(islice(_inflated_pieces(path, position), _HEADER_PIECES))
        header = dcmread(BytesIO(begin), stop_before_pixels=True, force=True)
    header.file_meta = read_file_meta_info(path)
    pixel_offset = 0 if any(keyword in header for keyword in PIXEL_KEYWORDS) else None
    return DicomFile(path, header, pixel_offset, syntax_guessed=False)


def _guessed_syntax(header: Dataset) -> UID:
    is_implicit, is_little_endian = header.original_encoding
    if not is_little_endian:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian


def _inflated(path: Path, position: int, limits: ReadLimits) -> bytes:
    """Inflate from a byte on; what ends too early gives what there is.

    Raises:
        ScanReadError: ``TOO_LARGE`` where there is more than a scan may have.
    """
    pieces: list[bytes] = []
    num_bytes = 0
    for piece in _inflated_pieces(path, position):
        pieces.append(piece)
        num_bytes += len(piece)
        if num_bytes > limits.max_decoded_bytes:
            found = f"inflates beyond {limits.max_decoded_bytes} bytes"
            raise ScanReadError(path, ScanReadReason.TOO_LARGE, found)
    return b"".join(pieces)


def _inflated_pieces(path: Path, position: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    with path.open("rb") as stream:
        stream.seek(position)
        piece = stream.read(2**16)
        while piece and not inflater.eof:
            yield inflater.decompress(piece, _PIECE_BYTES)
            piece = inflater.unconsumed_tail or stream.read(2**16)


class Tags:
    """The tags of one data set, as plain Python values; malformed ones are noted, not raised.

    Attributes:
        unusable: Keywords that are present but malformed.
    """

    def __init__(self, dataset: Dataset, unusable: set[str] | None = None) -> None:
        self._dataset = dataset
        self.unusable = set[str]() if unusable is None else unusable

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return a tag's values as stripped strings; none where it is absent."""
        return tuple(str(value).strip() for value in self._values(keyword))

    def text(self, keyword: str) -> str:
        """Return a tag's first value as a stripped string; empty where it is absent."""
        return next(iter(self.texts(keyword)), "")

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return a tag's ``count`` finite numbers; None where it is absent or malformed."""
        values = self._values(keyword)
        if not values:
            return None
        try:
            numbers = tuple(float(str(value)) for value in values)
        except (TypeError, ValueError, OverflowError):
            numbers = ()
        if len(numbers) != count or not all(map(isfinite, numbers)):
            self.unusable.add(keyword)
            return None
        return numbers

    def number(self, keyword: str) -> float | None:
        """Return a tag's one finite number; None where it is absent or malformed."""
        numbers = self.numbers(keyword, 1)
        return None if numbers is None else numbers[0]

    def item(self, keyword: str) -> "Tags":
        """Return the first item of a sequence; one without tags where there is none."""
        items = self._values(keyword)
        first = items[0] if items and isinstance(items[0], Dataset) else Dataset()
        return Tags(first, self.unusable)

    def items(self, keyword: str) -> list[Dataset]:
        """Return the items of a sequence."""
        return [item for item in self._values(keyword) if isinstance(item, Dataset)]

    def _values(self, keyword: str) -> list[object]:
        try:
            value = self._dataset.get(keyword)
        except FOREIGN_ERRORS:
            self.unusable.add(keyword)
            return []
        if value is None or value == "":
            return []
        is_many = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Dataset))
        return list(value) if is_many else [value]
