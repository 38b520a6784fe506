"""Mosaics of Siemens: the slices of an MRI volume laid out as tiles of one image."""

from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from raddiag_hf.imaging.dicom.csa import csa_header, csa_num_tiles, csa_slice_normal
from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.geometry import slice_normal, unit_orientation
from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason

_SIEMENS_GROUP = 0x0019
_SIEMENS_CREATOR = "SIEMENS MR HEADER"
_NUM_IMAGES_ELEMENT = 0x0A


@dataclass(frozen=True)
class Mosaic:
    """The layout of a mosaic.

    Attributes:
        num_tiles: Slices that it holds, row by row; the tiles beyond are empty.
        is_reversed: Its slices run against the normal of its rows and columns.
    """

    num_tiles: int
    is_reversed: bool

    @property
    def tiles_per_side(self) -> int:
        """Tiles along each side: the next whole root."""
        return ceil(sqrt(self.num_tiles))

    def unfold(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cut a mosaic into its slices, ordered along their normal.

        Args:
            image: Shape ``(tiles * height, tiles * width)``.

        Returns:
            Shape ``(num_tiles, height, width)``.
        """
        per_side = self.tiles_per_side
        height, width = image.shape[0] // per_side, image.shape[1] // per_side
        tiles = image.reshape(per_side, height, per_side, width).swapaxes(1, 2)
        slices = tiles.reshape(-1, height, width)[: self.num_tiles]
        return slices[::-1] if self.is_reversed else slices


def find_mosaic(path: Path, header: Dataset, tags: Tags) -> Mosaic | None:
    """Return the layout of a mosaic, None for an image that is none.

    Raises:
        ScanReadError: ``UNSUPPORTED`` for a mosaic that does not say how many slices it holds,
            ``CORRUPT`` for one whose size these do not divide.

    Source:
        Siemens CSA header (``NumberOfImagesInMosaic``, ``SliceNormalVector``), parsed by nibabel;
        the number also stands in (0019,xx0A).
    """
    if "MOSAIC" not in (value.upper() for value in tags.texts("ImageType")):
        return None
    csa = csa_header(header)
    num_tiles = csa_num_tiles(csa) if csa else _num_tiles_by_tag(header)
    if num_tiles < 1:
        raise ScanReadError(
            path, ScanReadReason.UNSUPPORTED, "a mosaic that does not say how many slices it holds"
        )
    is_reversed = csa is not None and _is_reversed(csa_slice_normal(csa), tags)
    mosaic = Mosaic(num_tiles, is_reversed)
    rows, columns = tags.number("Rows") or 0, tags.number("Columns") or 0
    if rows % mosaic.tiles_per_side or columns % mosaic.tiles_per_side:
        raise ScanReadError(
            path,
            ScanReadReason.CORRUPT,
            f"a mosaic of {num_tiles} slices in {int(rows)}x{int(columns)} pixels",
        )
    return mosaic


def _num_tiles_by_tag(header: Dataset) -> int:
    if _SIEMENS_CREATOR not in header.private_creators(_SIEMENS_GROUP):
        return 0
    block = header.private_block(_SIEMENS_GROUP, _SIEMENS_CREATOR)
    return int(block[_NUM_IMAGES_ELEMENT].value) if _NUM_IMAGES_ELEMENT in block else 0


def _is_reversed(csa_normal: NDArray[np.float64] | None, tags: Tags) -> bool:
    orientation = unit_orientation(tags.numbers("ImageOrientationPatient", 6))
    if csa_normal is None or orientation is None:
        return False
    return float(csa_normal @ slice_normal(orientation)) < 0
