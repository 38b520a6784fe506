"""Padding: pixels that a scanner filled around its field of view, which show no tissue."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.intensity import to_modality_values
from raddiag_hf.imaging.scan import Decision, DecisionKind, decision

_BETWEEN = 0.01
"""With more of the image than this on either side, a value is no padding: some files say that 0 is,
which is water."""

_AIR_HU = -1024
"""The lowest value of a scanner that does not extend its scale."""


@dataclass
class PaddedVoxels:
    """The padding of one volume, found slice by slice.

    Attributes:
        masks: Slice -> where it is padding.
        lowest: Modality value of what is no padding; infinite where nothing was seen.
        highest: Likewise.
        num_below: Voxels of the image below the padding.
        num_above: Voxels of the image above it.
        num_seen: Voxels that were looked at.
    """

    masks: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    lowest: float = np.inf
    highest: float = -np.inf
    num_below: int = 0
    num_above: int = 0
    num_seen: int = 0

    def find(self, number: int, stored: NDArray[Any], tags: Dataset, *, is_blurred: bool) -> None:
        """Look for padding in one slice.

        Args:
            number: Which slice of the volume.
            stored: Its stored values.
            tags: The frame's `PixelPaddingValue` and all that gives stored values their meaning.
            is_blurred: Whether these are Hounsfield units that were compressed with loss, so that
                padding below air is not one value any more.

        Source:
            DICOM PS3.3, C.7.5.1.1.2: one value, or all between it and `PixelPaddingRangeLimit`.
        """
        span = padding_span(tags, is_signed=stored.dtype.kind == "i")
        if span is None:
            return
        low, high = _blurred(span, stored.dtype, tags) if is_blurred else span
        mask = stored == low if low == high else (stored >= low) & (stored <= high)
        least, most = int(stored.min()), int(stored.max())
        if mask.any():
            self.masks[number] = mask
            if least >= low and most <= high:  # there is nothing else
                return
            if least < low and most > high:
                self.num_below += int(np.count_nonzero(stored < low))
                self.num_above += int(np.count_nonzero(stored > high))
            # As unsigned distances from beside the padding, the padding is the furthest.
            unsigned = np.dtype(f"u{stored.dtype.itemsize}")
            if least >= low:
                beside = stored.dtype.type(high + 1)
                least = high + 1 + int((stored - beside).view(unsigned).min())
            if most <= high:
                beside = stored.dtype.type(low - 1)
                most = low - 1 - int((beside - stored).view(unsigned).min())
        ends = to_modality_values(np.asarray([[least, most]], dtype=stored.dtype), tags)
        self.num_seen += stored.size
        self.lowest = min(self.lowest, float(ends.min()))
        self.highest = max(self.highest, float(ends.max()))

    def fill(self, volume: NDArray[np.float32], *, is_inverted: bool) -> list[Decision]:
        """Give padding the value of the darkest voxel of the image, in place; return what was done.

        Args:
            volume: Modality values.
            is_inverted: Whether low values are shown white.
        """
        if not self.masks or self.num_seen == 0:
            return []
        num_voxels = sum(int(np.count_nonzero(mask)) for mask in self.masks.values())
        if min(self.num_below, self.num_above) > _BETWEEN * self.num_seen:
            return [decision(DecisionKind.PADDING_DOUBTED, num_voxels=num_voxels)]
        darkest = self.highest if is_inverted else self.lowest
        for number, mask in self.masks.items():
            np.copyto(volume[number], darkest, where=mask)
        return [decision(DecisionKind.PADDING_FILLED, num_voxels=num_voxels)]


def padding_span(tags: Dataset, *, is_signed: bool) -> tuple[int, int] | None:
    """Return the least and the greatest stored value that is padding; None where none is.

    The two tags have 16 bits, whose sign writers get wrong: 63536 is -2000 where pixels are signed.
    """
    ends = []
    for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        number = Tags(tags).number(keyword) if keyword in tags else None
        if number is not None:
            ends.append(_with_sign(int(number), is_signed))
        elif not ends:
            return None
    return min(ends), max(ends)


def _blurred(
    span: tuple[int, int], dtype: np.dtype[np.integer[Any]], tags: Dataset
) -> tuple[int, int]:
    """Widen padding that lies below air halfway up to it, and down without end."""
    top = float(to_modality_values(np.asarray([[span[1]]], dtype=dtype), tags)[0, 0])
    slope = float(tags.get("RescaleSlope") or 1)
    if top >= _AIR_HU or slope < 0 or tags.get("ModalityLUTSequence"):
        return span
    return int(np.iinfo(dtype).min), span[1] + int((_AIR_HU - top) / slope / 2)


def _with_sign(value: int, is_signed: bool) -> int:
    if is_signed and value > 0x7FFF:
        return value - 0x10000
    return value + 0x10000 if not is_signed and value < 0 else value
