"""Reconstructions of nuclear medicine: where the frames of a SPECT file lie, by its own tags."""

from dataclasses import dataclass

import numpy as np

from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.geometry import (
    Orientation,
    Position,
    slice_normal,
    unit_orientation,
)

_PHASE_VECTORS = (
    "EnergyWindowVector",
    "RRIntervalVector",
    "TimeSlotVector",
    "PhaseVector",
    "TimeSliceVector",
)
"""What else the frames of one file are counted by."""


@dataclass(frozen=True)
class ReconstructedPlanes:
    """The frames of a tomographic reconstruction.

    Attributes:
        orientation: Of all frames.
        positions: Of each frame; None where the file does not say how far apart they are, and so
            not to which side they follow one another either.
        step_mm: From one slice to the next, against the normal where negative; NaN where
            there are no positions.
        phases: Of each frame, what it was counted by beside slices; empty where by nothing.
    """

    orientation: Orientation
    positions: list[Position] | None
    step_mm: float
    phases: list[str]


def reconstructed_planes(tags: Tags, num_frames: int) -> ReconstructedPlanes | None:
    """Return the planes of a reconstruction, None for anything else: projections, whole bodies.

    Args:
        tags: Of the file.
        num_frames: Frames that it holds.

    Source:
        DICOM PS3.3, C.8.4.8 (multi-frame vectors), C.8.4.11 (detectors: orientation and position of
        the first slice) and C.8.4.15 (signed spacing between slices).
    """
    image_type = [value.upper() for value in tags.texts("ImageType")]
    if tags.text("Modality").upper() != "NM" or not any("RECON" in one for one in image_type[2:]):
        return None
    detector = tags.item("DetectorInformationSequence")
    first = detector if detector.texts("ImageOrientationPatient") else tags
    orientation = unit_orientation(first.numbers("ImageOrientationPatient", 6))
    if orientation is None:
        return None
    origin = first.numbers("ImagePositionPatient", 3)
    step = tags.number("SpacingBetweenSlices")
    slices = _vector(tags, "SliceVector", num_frames) or list(range(1, num_frames + 1))
    positions = None
    if origin is not None and step:
        along = slice_normal(orientation) * step
        places = np.asarray(origin) + (np.asarray(slices, dtype=np.float64)[:, None] - 1) * along
        positions = [(x, y, z) for x, y, z in places.tolist()]
    vectors = [found for name in _PHASE_VECTORS if (found := _vector(tags, name, num_frames))]
    counted = [vector for vector in vectors if len(set(vector)) > 1]
    keys = list(zip(*counted, strict=True)) if counted else []
    ranks = {key: str(rank) for rank, key in enumerate(sorted(set(keys)), start=1)}
    phases = [ranks[key] for key in keys] if keys else [""] * num_frames
    return ReconstructedPlanes(
        orientation, positions, step if positions and step else float("nan"), phases
    )


def _vector(tags: Tags, keyword: str, num_frames: int) -> list[int] | None:
    """Return what each frame is counted by; None unless it is there for all."""
    if not tags.texts(keyword):
        return None
    found = tags.numbers(keyword, num_frames)
    return None if found is None else [int(number) for number in found]
