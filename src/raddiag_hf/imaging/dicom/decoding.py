"""Decoding of a stack: the pixels of its slices, as modality values."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_color_lut

from raddiag_hf.imaging.dicom.header import DicomFrame, DicomHeader
from raddiag_hf.imaging.dicom.padding import PaddedVoxels
from raddiag_hf.imaging.dicom.pixels import decode_frames, is_lossy
from raddiag_hf.imaging.dicom.rescale import with_common_rescale
from raddiag_hf.imaging.dicom.stacks import Stack
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.intensity import to_grey, to_modality_values
from raddiag_hf.imaging.read_settings import ReadSettings
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ScanReadError,
    ScanReadReason,
    decision,
)


@dataclass(frozen=True, eq=False)
class DecodedStack:
    """The slices of a stack that decode.

    Attributes:
        volume: Modality values, or luminance of colour; shape ``(slices, height, width)``.
        slots: Which slices of the stack these are, ascending.
        lost: An error for each file that does not decode.
        decisions: What was decided on the way.
    """

    volume: NDArray[np.float32]
    slots: list[int]
    lost: list[ScanReadError]
    decisions: list[Decision]


def decode_stack(stack: Stack, settings: ReadSettings) -> DecodedStack:
    """Decode each file of a stack once.

    Raises:
        ScanReadError: Of the first file, if none decodes.
    """
    header = stack.header
    per_side = 1 if header.mosaic is None else header.mosaic.tiles_per_side
    shape = (header.rows * per_side, header.columns * per_side)
    volume = np.empty((len(stack.frames), *shape), dtype=np.float32)
    mended, unknown, decisions = with_common_rescale(stack.frames)
    padding = PaddedVoxels()
    has_colour = header.samples > 1 or header.photometric == "PALETTE COLOR"
    finds_padding = settings.padding == "lowest" and not has_colour
    slots_of_file: dict[Path, list[int]] = {}
    for slot, frame in enumerate(mended):
        slots_of_file.setdefault(frame.file.path, []).append(slot)
    decoded: list[int] = []
    lost: list[ScanReadError] = []
    for slots in slots_of_file.values():
        lost += [error for slot in slots if (error := unknown[slot]) is not None]
        slots = sorted(
            (slot for slot in slots if unknown[slot] is None),
            key=lambda slot: mended[slot].index,
        )
        if not slots:
            continue
        file = mended[slots[0]].file
        try:
            with only_scan_read_errors(file.path, "the pixel data", quote=True):
                pixels = decode_frames(file, [mended[slot].index for slot in slots])
                for slot, stored in zip(slots, pixels, strict=True):
                    frame = mended[slot]
                    volume[slot] = _grey_values(stored, frame, header, shape)
                    if finds_padding and stored.dtype.kind in "iu":
                        is_blurred = header.modality_code == "CT" and is_lossy(frame.file)
                        padding.find(slot, stored, frame.values, is_blurred=is_blurred)
        except ScanReadError as error:
            lost.append(error)
        else:
            decoded += slots
    if not decoded:
        raise lost[0]
    decisions += padding.fill(volume, is_inverted=header.photometric == "MONOCHROME1")
    decoded.sort()
    if lost:
        num_lost = len(stack.frames) - len(decoded)
        decisions.append(decision(DecisionKind.UNREADABLE_SLICES, num_lost=num_lost))
        volume = volume[decoded]
    return DecodedStack(volume, decoded, lost, decisions)


def _grey_values(
    stored: NDArray[np.generic], frame: DicomFrame, header: DicomHeader, shape: tuple[int, int]
) -> NDArray[np.float32]:
    path = frame.file.path
    if stored.shape[:2] != shape:
        raise ScanReadError(
            path, ScanReadReason.CORRUPT, f"pixels of shape {stored.shape}, expected {shape}"
        )
    if header.photometric == "PALETTE COLOR":
        return to_grey(apply_color_lut(stored, frame.file.header))
    if stored.ndim == 3:
        return to_grey(stored)
    return to_modality_values(stored, frame.values)
