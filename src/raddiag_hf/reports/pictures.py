"""Pictures of slices, small enough for an HTML page to carry inside itself."""

import base64
import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.scan_resampling import source_slice

STRIP_TILES = 6
"""Tiles across a full filmstrip."""

PERCENTILES = (1.0, 99.0)
"""Intensities shown as black and white: a few outliers must not darken the rest."""


def slice_picture(scan: Scan, index: int, longest_pixels: int) -> str:
    """Return one slice as a data URI, in its true proportions where the spacing is known.

    Args:
        scan: The scan as read.
        index: Which slice of it.
        longest_pixels: Length of the picture's longer side.
    """
    return picture_uri(draw_slice(scan, index, longest_pixels))


def draw_slice(scan: Scan, index: int, longest_pixels: int) -> Image.Image:
    """Return one slice as a grey picture; `slice_picture` says what the arguments are."""
    return _draw(scan, index, intensity_window(scan), longest_pixels)


def filmstrip(scan: Scan, encoded_slices: int, tile_pixels: int = 144) -> tuple[str, int]:
    """Return slices spread evenly over what the model saw, side by side, and how many they are.

    Tile ``i`` of ``k`` is the middle slice of the ``i``-th of ``k`` equal parts, so that a profile
    over the slices drawn above the strip lines up with it.

    Args:
        scan: The scan as read.
        encoded_slices: Slices that the model saw, at least 1.
        tile_pixels: Side of a square tile.
    """
    tiles = min(STRIP_TILES, encoded_slices)
    window = intensity_window(scan)
    strip = Image.new("L", (tiles * tile_pixels, tile_pixels))
    for tile in range(tiles):
        encoded = (2 * tile + 1) * encoded_slices // (2 * tiles)
        index = source_slice(encoded, len(scan.volume), encoded_slices)
        picture = _draw(scan, index, window, tile_pixels)
        left = tile * tile_pixels + (tile_pixels - picture.width) // 2
        strip.paste(picture, (left, (tile_pixels - picture.height) // 2))
    return picture_uri(strip), tiles


def intensity_window(scan: Scan) -> tuple[float, float]:
    """Return the intensities to show as black and white, the same for all slices of a scan.

    Of CT what its file wants shown, where it says so.
    """
    if scan.display_window is not None:
        return scan.display_window
    step = max(1, scan.volume.size // 2_000_000)
    low, high = np.percentile(scan.volume.ravel()[::step], PERCENTILES)
    if low == high:  # mostly one value: the rest is what there is to see
        low, high = scan.volume.min(), scan.volume.max()
    return float(low), float(high)


def _draw(scan: Scan, index: int, window: tuple[float, float], longest_pixels: int) -> Image.Image:
    low, high = window
    grey: NDArray[np.float32] = scan.volume[index] - low
    if high > low:
        grey = grey / (high - low)
    picture = Image.fromarray((grey.clip(0, 1) * 255).round().astype(np.uint8))
    height, width = _proportions(scan)
    scale = longest_pixels / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _proportions(scan: Scan) -> tuple[float, float]:
    """Return height and width in millimetres where both spacings are known, else in pixels."""
    _, height, width = scan.volume.shape
    _, row_mm, column_mm = scan.spacing_mm
    if math.isfinite(row_mm) and math.isfinite(column_mm) and row_mm > 0 and column_mm > 0:
        return height * row_mm, width * column_mm
    return float(height), float(width)


def picture_uri(picture: Image.Image) -> str:
    """Return a picture as a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=86)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
