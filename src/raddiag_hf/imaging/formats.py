"""File formats, by bytes: names lie, and archives often have no suffixes."""

import stat
import struct
import zlib
from enum import StrEnum
from pathlib import Path

from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason

_HEAD_BYTES = 4096


class FileFormat(StrEnum):
    """The formats that are read."""

    DICOM = "dicom"
    NIFTI = "nifti"
    NPY = "npy"
    PICTURE = "picture"


_SIGNATURES = {
    b"\x93NUMPY": FileFormat.NPY,
    b"\x89PNG\r\n\x1a\n": FileFormat.PICTURE,
    b"\xff\xd8\xff": FileFormat.PICTURE,
    b"II*\0": FileFormat.PICTURE,
    b"MM\0*": FileFormat.PICTURE,
}

_NOT_READ = {
    b"\x28\xb5\x2f\xfd": "Zstandard, decompress it first",
    b"PK\x03\x04": "a ZIP archive (or NPZ), unpack it first",
    b"BZh": "bzip2, decompress it first",
    b"\xfd7zXZ": "xz, decompress it first",
    b"%PDF": "PDF",
    b"GIF8": "GIF",
    b"RIFF": "RIFF (WebP or AVI)",
    b"\x89HDF": "HDF5",
    b"NRRD": "NRRD, convert it to NIfTI",
    b"\0\0\0\x0cjP  ": "bare JPEG 2000",
}
_GZIP = b"\x1f\x8b"


def sniff_format(path: Path) -> FileFormat:
    """Return the format of a file by its content, whatever its name.

    DICOM is known with and without its preamble; gzip is looked into for NIfTI.

    Raises:
        ScanReadError: ``NOT_FOUND``, ``UNREADABLE``, ``EMPTY`` (no bytes), or ``UNKNOWN_FORMAT``
            with what the bytes look like.
    """
    head = read_head(path)
    found = _format_of(head)
    if found is not None:
        return found
    raise ScanReadError(path, ScanReadReason.UNKNOWN_FORMAT, _describe_unknown(path, head))


def read_head(path: Path) -> bytes:
    """Return the first bytes of a regular file, at most 4096.

    Raises:
        ScanReadError: If there is no such file, it is no regular one, cannot be opened or is empty.
    """
    # Opening a FIFO or a device would block or never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ScanReadError(path, ScanReadReason.UNREADABLE, "not a regular file")
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if not head:
        raise ScanReadError(path, ScanReadReason.EMPTY, "a file of 0 bytes")
    return head


def _format_of(head: bytes) -> FileFormat | None:
    if head[128:132] == b"DICM":
        return FileFormat.DICOM
    for signature, file_format in _SIGNATURES.items():
        if head.startswith(signature):
            return file_format
    if head.startswith(b"BM") and head[14:18] in _BMP_HEADER_SIZES:
        return FileFormat.PICTURE
    inner = _inflate_head(head) if head.startswith(_GZIP) else head
    if _is_nifti(inner):
        return FileFormat.NIFTI
    if _is_bare_dicom(head):
        return FileFormat.DICOM
    return None


_BMP_HEADER_SIZES = {struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124)}


def _is_nifti(head: bytes) -> bool:
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"


def _is_nifti_pair(head: bytes) -> bool:
    return head[344:348] == b"ni1\0" or head[4:8] == b"ni2\0"


def _inflate_head(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 600)
    except zlib.error:
        return b""


def _is_bare_dicom(head: bytes) -> bool:
    """Tell a DICOM data set without preamble by its first element, group 0002 or 0008."""
    if len(head) < 8:
        return False
    for order in "<>":
        group, element, vr, length = struct.unpack(f"{order}HH2sH", head[:8])
        if group not in (0x0002, 0x0008) or element > 0x0102:
            continue
        explicit = vr.isalpha() and vr.isupper() and length <= 256
        implicit = struct.unpack(f"{order}I", head[4:8])[0] <= 256 and order == "<"
        if explicit or implicit:
            return True
    return False


def _describe_unknown(path: Path, head: bytes) -> str:
    for signature, name in _NOT_READ.items():
        if head.startswith(signature):
            return f"{name}; DICOM, NIfTI, NPY, PNG, JPEG, TIFF and BMP are read"
    if head.startswith(_GZIP):
        return "gzip of something other than NIfTI"
    if _is_nifti_pair(head):
        return "a NIfTI header whose image is in another file; convert the pair to one .nii"
    suffix = path.suffix or "no suffix"
    return (
        f"named {suffix}, begins with 0x{head[:4].hex()}, which is no DICOM, NIfTI, NPY, PNG, "
        "JPEG, TIFF or BMP"
    )
