"""Stacks: like slices sorted along their normal, the volumes of one series kept apart."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.diagnostic import CROSS_SECTIONAL
from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.geometry import (
    SAME_POSITION_MM,
    Orientation,
    measure_stack,
    plane_of_normal,
    slice_normal,
)
from raddiag_hf.imaging.dicom.grouping import SliceGroup
from raddiag_hf.imaging.dicom.header import DicomFrame, DicomHeader
from raddiag_hf.imaging.dicom.traits import TIME_KEYWORDS, trusted_traits
from raddiag_hf.imaging.dicom.volumes import Volume, split_volumes
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ReadLimits,
    ScanReadError,
    ScanReadReason,
    decision,
)
from raddiag_hf.vocabulary import Plane

_NAN = float("nan")
_FEWEST_CLIP_FRAMES = 3
"""Two frames at one position are two echoes or a repetition, rather than a clip."""

_FEWEST_INTERLEAVED = 3
_UNEVEN_RATIO = 1.2
_MOSTLY = 0.7


@dataclass(frozen=True)
class Stack:
    """The slices of one scan in order, before their pixels are decoded.

    Attributes:
        header: That of one of the files; what it says of size and kind holds for all frames.
        frames: In order.
        position_ids: For each frame, which position it lies at; frames that share one have to be
            equal. All different where positions are not known.
        plane: The plane in which the slices lie.
        spacing_mm: Along depth, height and width; NaN where unknown.
        decisions: What grouping and sorting had to decide.
        values: What it has of the tags that tell it from the other volumes of its series.
    """

    header: DicomHeader
    frames: tuple[DicomFrame, ...]
    position_ids: tuple[int, ...]
    plane: Plane
    spacing_mm: tuple[float, float, float]
    decisions: tuple[Decision, ...]
    values: Mapping[str, str]

    @property
    def path(self) -> Path:
        """Its file, or the folder that all its files are in."""
        return common_path(self.frames)


def common_path(frames: Iterable[DicomFrame]) -> Path:
    """Return the one file of these frames, or the deepest folder that holds all their files."""
    paths = {frame.file.path for frame in frames}
    if len(paths) == 1:
        return next(iter(paths))
    return Path(os.path.commonpath([path.parent for path in paths]))


def order_slices(group: SliceGroup, limits: ReadLimits) -> list[Stack]:
    """Return the volumes of a group, the slices of each in order.

    Located slices are sorted along the normal (row direction cross column direction). Several
    slices at every position are echoes, b-values or phases, told apart by the tags that differ; a
    series at one position alone is a clip. Slices without position go by their number.

    Raises:
        ScanReadError: ``UNSUPPORTED`` for more volumes than the limits allow (4D series);
            ``INCONSISTENT_SERIES`` where nothing tells the order.
    """
    if group.is_changing_view:
        frames, keyword = _in_order(group.frames, ("InstanceNumber",))
        how = decision(DecisionKind.CHANGING_VIEW, num_views=len(frames), ordered_by=keyword)
        return [_unplaced_stack(group, frames, [how])]
    first = group.frames[0]
    if first.position is None or first.orientation is None:
        return [_stack_without_positions(group)]
    return _located_stacks(group, first.orientation, limits)


def _stack_without_positions(group: SliceGroup) -> Stack:
    if len(group.frames) == 1:
        return _unplaced_stack(group, group.frames, [])
    if len({frame.file.path for frame in group.frames}) == 1:
        frames, keyword = group.frames, "frame number"
    else:
        frames, keyword = _in_order(group.frames, ("SliceLocation", "InstanceNumber"))
    if group.header.modality_code not in CROSS_SECTIONAL:
        return _unplaced_stack(group, frames, [])
    how = decision(DecisionKind.ORDERED_WITHOUT_POSITIONS, ordered_by=keyword)
    return _unplaced_stack(group, frames, [how])


def _located_stacks(group: SliceGroup, orientation: Orientation, limits: ReadLimits) -> list[Stack]:
    heights = _heights(group.frames, orientation)
    # Of frames at one position the scanner's count decides, so that file names never do.
    order = sorted(
        range(len(heights)),
        key=lambda index: (heights[index], group.frames[index].instance_number or 0),
    )
    frames = tuple(group.frames[index] for index in order)
    steps = np.diff([heights[index] for index in order])
    position_ids = _position_ids(steps, SAME_POSITION_MM)
    if len(set(position_ids)) == 1 and len(frames) >= _FEWEST_CLIP_FRAMES:
        ordered, keyword = _in_order(frames, (*TIME_KEYWORDS, "InstanceNumber"))
        how = decision(DecisionKind.CLIP, ordered_by=keyword)
        return [_unplaced_stack(group, ordered, [how])]
    most_at_one = max(np.bincount(position_ids))
    if most_at_one > limits.max_volumes:
        raise ScanReadError(
            common_path(frames),
            ScanReadReason.UNSUPPORTED,
            f"a 4D series: {most_at_one} slices at one position, at most {limits.max_volumes} "
            "volumes of a series are read",
        )
    volumes = _shifted_volumes(group, frames, steps)
    if volumes is None and most_at_one > 1:
        volumes = split_volumes(frames, position_ids)
    if volumes is None:
        return [_placed_stack(group, frames, position_ids, orientation)]
    return [
        _placed_stack(
            group,
            tuple(frames[index] for index in volume.indices),
            tuple(position_ids[index] for index in volume.indices),
            orientation,
            volume,
        )
        for volume in volumes
    ]


def _heights(frames: Sequence[DicomFrame], orientation: Orientation) -> list[float]:
    normal = slice_normal(orientation)
    return [float(np.dot(frame.position or (0, 0, 0), normal)) for frame in frames]


def _position_ids(steps: NDArray[np.float64], same_mm: float) -> tuple[int, ...]:
    """Number positions along the normal; steps of at most ``same_mm`` lead to none."""
    return tuple(np.append(0, np.cumsum(steps > same_mm)).astype(int).tolist())


def _shifted_volumes(
    group: SliceGroup, frames: Sequence[DicomFrame], steps: NDArray[np.float64]
) -> list[Volume] | None:
    """Return the volumes that interleave because the table moved between them; None without any.

    Their slices lie in pairs, or in larger clusters, and tags or count tell the volumes apart, each
    of which is evenly spaced. The packages of one interleaved volume lie evenly among each other.
    """
    apart = steps[steps > SAME_POSITION_MM]
    if len(apart) < _FEWEST_INTERLEAVED:
        return None
    ordered = np.sort(apart)
    ratios = ordered[1:] / ordered[:-1]
    widest = int(np.argmax(ratios))
    if ratios[widest] >= _UNEVEN_RATIO:
        cut_mm = float(ordered[widest])
        position_ids = _position_ids(steps, cut_mm + SAME_POSITION_MM)
    elif group.header.modality_code == "CT" and _alternates(frames[:_FEWEST_INTERLEAVED]):
        # No CT scanner acquires one volume this way.
        position_ids = _pairs(frames)
    else:
        return None
    if len(set(position_ids)) < _FEWEST_INTERLEAVED or max(position_ids) + 1 == len(frames):
        return None
    volumes = split_volumes(frames, position_ids, is_shifted=True)
    heights = np.append(0, np.cumsum(steps))
    is_told = len(volumes) > 1 and all(
        _is_even(np.diff(heights[list(volume.indices)])) for volume in volumes
    )
    return volumes if is_told else None


def _alternates(frames: Sequence[DicomFrame]) -> bool:
    numbers = [Tags(frame.file.header).text("AcquisitionNumber") for frame in frames]
    return all(one != other for one, other in pairwise(numbers)) and len(set(numbers)) < len(frames)


def _pairs(frames: Sequence[DicomFrame]) -> tuple[int, ...]:
    """Number the places of slices that alternate between acquisitions, several at each."""
    seen: set[str] = set()
    position_ids = []
    number = 0
    for frame in frames:
        acquisition = Tags(frame.file.header).text("AcquisitionNumber")
        if acquisition in seen:
            seen.clear()
            number += 1
        seen.add(acquisition)
        position_ids.append(number)
    return tuple(position_ids)


def _is_even(steps: NDArray[np.float64]) -> bool:
    """Tell whether steps are equal, but for a few where slices are missing."""
    if not len(steps) or steps.min() <= SAME_POSITION_MM:
        return False
    middle = float(np.median(steps))
    is_regular = np.abs(steps / middle - 1) < _UNEVEN_RATIO - 1
    return bool(is_regular.mean() > _MOSTLY)


def _in_order(
    frames: Sequence[DicomFrame], keywords: Sequence[str]
) -> tuple[tuple[DicomFrame, ...], str]:
    """Sort by the first tag that every frame has, each with another value; return which one."""
    for keyword in keywords:
        keys = [_number_of(frame, keyword) for frame in frames]
        known = [key for key in keys if key is not None]
        if len(set(known)) == len(frames):
            order = sorted(range(len(frames)), key=known.__getitem__)
            return tuple(frames[index] for index in order), keyword
    if len({frame.file.path for frame in frames}) == 1:
        return tuple(sorted(frames, key=lambda frame: frame.index)), "frame number"
    raise ScanReadError(
        common_path(frames),
        ScanReadReason.INCONSISTENT_SERIES,
        f"{len(frames)} slices without distinct {' or '.join(keywords)} to order them by",
    )


def _number_of(frame: DicomFrame, keyword: str) -> float | None:
    if keyword == "InstanceNumber":
        return frame.instance_number
    if keyword == "SliceLocation":
        return frame.slice_location
    try:
        return float(trusted_traits([frame])[0].get(keyword, ""))
    except ValueError:
        return None


def _unplaced_stack(
    group: SliceGroup, frames: Sequence[DicomFrame], decisions: Sequence[Decision]
) -> Stack:
    """Return a stack whose slices have no place in space: a picture, a clip, a numbered series."""
    first = frames[0]
    has_depth = group.header.modality_code in CROSS_SECTIONAL and not group.is_changing_view
    is_over_time = any(each["kind"] == DecisionKind.CLIP for each in decisions)
    depth_mm = first.slice_spacing_mm if has_depth and not is_over_time else _NAN
    has_plane = first.orientation is not None and not group.is_changing_view
    return Stack(
        header=group.header,
        frames=tuple(frames),
        position_ids=tuple(range(len(frames))),
        plane=_plane(first) if has_plane else Plane.UNKNOWN,
        spacing_mm=(depth_mm, *first.pixel_spacing_mm),
        decisions=(*group.decisions, *decisions),
        values=group.values,
    )


def _placed_stack(
    group: SliceGroup,
    frames: tuple[DicomFrame, ...],
    position_ids: tuple[int, ...],
    orientation: Orientation,
    volume: Volume | None = None,
) -> Stack:
    """Return a stack of slices sorted along their normal."""
    positions = np.asarray([frame.position for frame in frames], dtype=np.float64)
    geometry = measure_stack(slice_normal(orientation), positions)
    depth_mm = geometry.spacing_mm
    if np.isnan(depth_mm):
        depth_mm = frames[0].slice_spacing_mm
    return Stack(
        header=group.header,
        frames=frames,
        position_ids=position_ids,
        plane=_plane(frames[0]),
        spacing_mm=(depth_mm, *frames[0].pixel_spacing_mm),
        decisions=(*group.decisions, *(volume.decisions if volume else ()), *geometry.decisions),
        values=volume.values if volume else {},
    )


def _plane(frame: DicomFrame) -> Plane:
    if frame.orientation is None:
        return Plane.UNKNOWN
    return plane_of_normal(slice_normal(frame.orientation))
