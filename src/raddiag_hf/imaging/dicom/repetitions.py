"""Repetitions: slices that lie where another one does, of which a volume keeps one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.header import DicomFrame
from raddiag_hf.imaging.dicom.stacks import Stack
from raddiag_hf.imaging.dicom.traits import Traits, trusted_traits
from raddiag_hf.imaging.dicom.volumes import tags_that_differ
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ScanReadError,
    ScanReadReason,
    decision,
)

_NEARLY_EQUAL = 0.01
"""Share of a slice's range within which two are one, encoded twice."""
_LATER_BY = ("AcquisitionNumber", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")
_MOST_NAMED = 6


def without_repetitions(
    stack: Stack, volume: NDArray[np.float32], slots: Sequence[int]
) -> tuple[list[int], list[Decision]]:
    """Choose one of the slices at each position.

    Of equal and nearly equal slices it does not matter which. Where others were measured anew, the
    latest stands in for the earlier ones, as long as these are the smaller part of the volume.

    Args:
        stack: Its slices, sorted.
        volume: Those of them that were decoded, shape ``(depth, height, width)``.
        slots: Which ones these are.

    Returns:
        Which slices of the volume stay, ascending, and what was decided.

    Raises:
        ScanReadError: ``INCONSISTENT_SERIES`` if most positions hold slices that differ: which of
            them make up the volume nobody says.
    """
    at_position: dict[int, list[int]] = {}
    for index, slot in enumerate(slots):
        at_position.setdefault(stack.position_ids[slot], []).append(index)
    if len(at_position) == len(slots):
        return list(range(len(slots))), []
    kept: list[int] = []
    num_equal = 0
    chosen: list[int] = []
    counted: set[str] = set()
    different: list[list[int]] = []
    for indices in at_position.values():
        distinct = [indices[0]]
        for index in indices[1:]:
            if any(np.array_equal(volume[index], volume[one]) for one in distinct):
                num_equal += 1
            else:
                distinct.append(index)
        if len(distinct) > 1:
            best, by = _latest(distinct, [stack.frames[slots[index]] for index in distinct])
            counted.add(by)
            chosen.append(len(kept))
            if not all(_nearly_equal(volume[one], volume[best]) for one in distinct):
                different.append(distinct)
            distinct = [best]
        kept += distinct
    if 2 * len(different) > len(at_position):
        raise _undecided(stack, [stack.frames[slots[index]] for index in different[0]], len(slots))
    decisions = []
    if num_equal:
        decisions.append(decision(DecisionKind.DUPLICATE_POSITIONS, num_dropped=num_equal))
    if chosen:
        decisions.append(
            decision(
                DecisionKind.REPEATED_SLICES,
                num_dropped=len(slots) - len(kept) - num_equal,
                at_slices=chosen,
                taken_by=sorted(counted - {""}),
                nearly_equal=not different,
            )
        )
    return kept, decisions


def _latest(indices: Sequence[int], frames: Sequence[DicomFrame]) -> tuple[int, str]:
    """Return the slice measured last, and the tag that says so; the first where none does."""
    traits = trusted_traits(frames)
    for keyword in _LATER_BY:
        numbers = [_number(each, keyword) for each in traits]
        if len(set(numbers)) == len(numbers) and None not in numbers:
            return indices[int(np.argmax(np.array(numbers, dtype=float)))], keyword
    counts = [frame.instance_number for frame in frames]
    if len(set(counts)) == len(counts) and None not in counts:
        return indices[int(np.argmax(np.array(counts, dtype=float)))], "InstanceNumber"
    return indices[0], ""


def _number(traits: Traits, keyword: str) -> float | None:
    try:
        return float(traits.get(keyword, ""))
    except ValueError:
        return None


def _nearly_equal(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    extent = float(max(np.ptp(one), np.ptp(other)))
    return float(np.abs(one - other).max()) <= _NEARLY_EQUAL * extent


def _undecided(stack: Stack, frames: Sequence[DicomFrame], num_slices: int) -> ScanReadError:
    names = tags_that_differ(frames)
    told = "no tag tells them apart"
    if names:
        more = ", ..." if len(names) > _MOST_NAMED else ""
        told = f"what differs ({', '.join(names[:_MOST_NAMED])}{more}) does not tell volumes apart"
    num_surplus = num_slices - len(set(stack.position_ids))
    return ScanReadError(
        stack.path,
        ScanReadReason.INCONSISTENT_SERIES,
        f"{num_surplus} of {num_slices} slices lie where another one of different content does, "
        f"and {told}",
    )
