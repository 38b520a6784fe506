"""Pictures: PNG, JPEG, TIFF and BMP, read as grey at their full bit depth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.intensity import finite_scan, is_grey, to_grey
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ReadLimits,
    Scan,
    ScanReadError,
    ScanReadReason,
    decision,
)

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
_GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")
_EXIF_ORIENTATION = 0x0112
_TURNED_BY_PILLOW = ("1", "L")
_PHOTOMETRIC, _WHITE_IS_ZERO = 0x0106, 0


def read_picture(path: Path, limits: ReadLimits) -> Scan:
    """Read a picture as a scan; the pages of a TIFF are its slices.

    16-bit grey keeps its range. Where a TIFF says that low values mean white, whole numbers are
    turned round within their range, and fractions change their sign. Colour and palettes become
    luminance; pixels that are transparent are laid over black. EXIF orientation is obeyed.

    Raises:
        ScanReadError: ``CORRUPT`` for broken or truncated data, ``TOO_LARGE`` beyond the limits
            (known from the header, before decoding), ``UNSUPPORTED`` for animations,
            ``INCONSISTENT_SERIES`` for pages of unequal size, ``BAD_VALUES`` for NaN and infinity
            in a TIFF of floating-point numbers.
    """
    return _as_scan(path, *_read_pages(path, limits))


def read_picture_stack(paths: Sequence[Path], limits: ReadLimits) -> Scan:
    """Read several pictures of one folder as the slices of one scan, in the order given.

    Raises:
        ScanReadError: As `read_picture`, for the first picture at fault; ``INCONSISTENT_SERIES``
            where sizes differ.
    """
    folder = paths[0].parent
    slices: list[NDArray[np.float32]] = []
    decisions: list[Decision] = []
    for path in paths:
        pages, taken = _read_pages(path, limits)
        limits.check(folder, len(paths), *pages[0].shape)
        slices += pages
        decisions += [each for each in taken if each not in decisions]
    decisions.append(decision(DecisionKind.PICTURES_STACKED, num_pictures=len(paths)))
    return _as_scan(folder, slices, decisions)


def _read_pages(path: Path, limits: ReadLimits) -> tuple[list[NDArray[np.float32]], list[Decision]]:
    pages: list[NDArray[np.float32]] = []
    decisions: list[Decision] = []
    with only_scan_read_errors(path, "the picture", quote=True), _open(path) as image:
        num_pages = _num_pages(path, image, limits)
        limits.check(path, num_pages, image.height, image.width)
        for page in range(num_pages):
            image.seek(page)
            limits.check(path, num_pages, image.height, image.width)
            pixels, taken = _grey_pixels(image)
            pages.append(pixels)
            decisions += [each for each in taken if each not in decisions]
    return pages, decisions


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise ScanReadError(path, ScanReadReason.TOO_LARGE, str(error)) from None


def _as_scan(
    path: Path, slices: Sequence[NDArray[np.float32]], decisions: Sequence[Decision]
) -> Scan:
    sizes = sorted({slice_.shape for slice_ in slices})
    if len(sizes) > 1:
        raise ScanReadError(
            path,
            ScanReadReason.INCONSISTENT_SERIES,
            f"pictures of {len(sizes)} sizes, among them {sizes[0]} and {sizes[1]}",
        )
    return finite_scan(
        path,
        "picture",
        np.stack(slices),
        decisions=tuple(decisions),
        is_picture=len(slices) == 1,
    )


def _num_pages(path: Path, image: Image.Image, limits: ReadLimits) -> int:
    if image.format == "TIFF":
        return _count_pages(image, limits.max_frames + 1)
    num_frames = int(getattr(image, "n_frames", 1))
    if num_frames > 1 and image.format == "PNG":
        raise ScanReadError(
            path, ScanReadReason.UNSUPPORTED, f"an animation of {num_frames} frames"
        )
    return 1


def _count_pages(image: Image.Image, most: int) -> int:
    """Follow the pages no further than this: to count them all takes long, and may never end."""
    num_pages = 1
    try:
        while num_pages < most:
            image.seek(num_pages)
            num_pages += 1
    except EOFError:
        pass
    image.seek(0)
    return num_pages


def _grey_pixels(image: Image.Image) -> tuple[NDArray[np.float32], list[Decision]]:
    decisions = []
    if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        decisions.append(decision(DecisionKind.EXIF_ROTATED))
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in _GREY_MODES:
        grey = np.asarray(image).astype(np.float32)
        if _is_white_zero(image):
            decisions.append(decision(DecisionKind.MONOCHROME1_INVERTED))
            if image.mode not in _TURNED_BY_PILLOW:
                grey = (0 if image.mode == "F" else 65_535) - grey
        return grey, decisions
    channels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    if not is_grey(channels):
        decisions.append(decision(DecisionKind.COLOUR_TO_GREY))
    grey = to_grey(channels)
    opacity = channels[..., 3:]
    if opacity.size and opacity.min() < 255:
        grey = grey * (opacity[..., 0].astype(np.float32) / np.float32(255))
        decisions.append(decision(DecisionKind.ALPHA_OVER_BLACK))
    return grey, decisions


def _is_white_zero(image: Image.Image) -> bool:
    return getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
