"""Storage options: how much of each scan a case data set keeps."""

from dataclasses import dataclass
from typing import Annotated, Literal

from raddiag_hf.core.settings import Setting, check_settings

Bits = Literal[8, 16]


@dataclass(frozen=True)
class StorageOptions:
    """How much of a scan is kept.

    Attributes:
        bits: Of a voxel: 16 keep whole Hounsfield units; 8 halve the size and suit data that are
            only ever stretched to [0, 1], as in the paper.
        max_side: Shrink slices with more rows or columns; all are kept by default. 256 loses
            nothing that the published model sees.
        max_slices: Keep so many slices of a scan; all by default. The published model sees 32.

    Raises:
        InputError: If a value is out of its range.
    """

    bits: Bits = 16
    max_side: Annotated[int | None, Setting(min=1, metavar="PIXELS")] = None
    max_slices: Annotated[int | None, Setting(min=1, metavar="N")] = None

    def __post_init__(self) -> None:
        check_settings(self)


LOSSLESS = StorageOptions()
"""Every slice and pixel, 16 bits."""
