"""Volumes: slices that share positions told apart by what differs between them, or by count."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.header import DicomFrame
from raddiag_hf.imaging.dicom.traits import (
    CODED_KEYWORDS,
    CONTRAST_KEYWORDS,
    Traits,
    all_traits,
    trusted_traits,
)
from raddiag_hf.imaging.scan import Decision, DecisionKind, decision

_MOST_TOGETHER = 3
"""Tags that are looked at together, such as echo, b-value and direction."""
_MOST_LEFT = 0.2
"""Share of the surplus slices that a split may leave to be taken or dropped."""
_ALIKE = 0.01
"""Relative difference below which two measured values are one, written differently."""
_MEASURED = frozenset({"EchoTime", "EffectiveEchoTime", "InversionTime", "FlipAngle", "KVP"})
_COUNTS = ("InstanceNumber", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Volume:
    """Slices of a series that belong together.

    Attributes:
        indices: Of its frames, ascending.
        decisions: By what it was told apart.
        values: What it has of the tags that tell it apart, where these are numbers or codes.
    """

    indices: tuple[int, ...]
    decisions: tuple[Decision, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)


def split_volumes(
    frames: Sequence[DicomFrame], position_ids: Sequence[int], *, is_shifted: bool = False
) -> list[Volume]:
    """Return the frames of each volume.

    Told apart by one tag that differs or by up to three together, the most trusted first; else by
    the scanner's count, where it runs through all positions again and again. A few slices that were
    measured once more are no volume of their own: they stay with those that they repeat. Where
    nothing tells, all frames stay together.

    Args:
        frames: Parallel slices.
        position_ids: For each frame, which position it lies at.
        is_shifted: Whether positions are only nearly equal, so that only clear signs count.
    """
    positions = np.asarray(position_ids, dtype=np.intp)
    occupancy = np.bincount(positions)
    occupancy = occupancy[occupancy > 0]
    most, typical = int(occupancy.max()), int(np.sort(occupancy)[(len(occupancy) - 1) // 2])
    traits = trusted_traits(frames)
    tags = _telling_tags(traits, most)
    found = _by_tags(tags, positions, most, is_exact=True)
    if found is None and typical > 1:
        found = _by_tags(tags, positions, typical, is_exact=False)
    if found is None and typical > 1 and not is_shifted and len(occupancy) > 1:
        traits = all_traits(frames)
        found = _by_tags(_telling_tags(traits, most), positions, typical, is_exact=True)
    if found is not None:
        return _in_order(frames, traits, *found)
    counted = _by_count(frames, positions, typical, not is_shifted) if typical > 1 else None
    if counted is not None:
        keyword, volumes = counted
        how = decision(DecisionKind.SPLIT_SERIES, by=[keyword], num_scans=len(volumes))
        return [Volume(tuple(sorted(indices)), (how,)) for indices in volumes]
    return [Volume(tuple(range(len(frames))))]


def tags_that_differ(frames: Sequence[DicomFrame]) -> list[str]:
    """Return the names of all elements that are not the same in all frames."""
    traits = all_traits(frames)
    names = dict.fromkeys(name for each in traits for name in each)
    return [name for name in names if len({each.get(name) for each in traits}) > 1]


def count_of(frame: DicomFrame) -> tuple[float, int]:
    """Return the place of a frame in the order in which the scanner counted."""
    return frame.instance_number or 0.0, frame.index


def _telling_tags(traits: Sequence[Traits], most: int) -> dict[str, Codes]:
    """Return, by name, what numbers the values of each tag that has 2 to ``most`` of them.

    Of tags that divide the frames alike the most trusted one stays.
    """
    names = dict.fromkeys((*CONTRAST_KEYWORDS, *(name for each in traits for name in each)))
    tags: dict[str, Codes] = {}
    seen: set[bytes] = set()
    for name in names:
        texts = [each.get(name, "") for each in traits]
        distinct = set(texts)
        if name in _MEASURED and len(distinct) > 1:
            texts = _without_jitter(texts)
            distinct = set(texts)
        if not 1 < len(distinct) <= most:
            continue
        number_of: dict[str, int] = {}
        codes = np.array([number_of.setdefault(text, len(number_of)) for text in texts])
        if codes.tobytes() not in seen:
            seen.add(codes.tobytes())
            tags[name] = codes
    return tags


def _without_jitter(texts: Sequence[str]) -> list[str]:
    """Write values that differ by less than a hundredth alike: 2.3 and 2.301 are one echo."""
    numbers = sorted({number for text in texts if (number := _number(text)) is not None})
    same: dict[float, str] = {}
    for before, number in zip([None, *numbers], numbers, strict=False):
        is_new = before is None or number - before > _ALIKE * abs(number)
        same[number] = f"{number:g}" if is_new or before is None else same[before]
    return [text if (one := _number(text)) is None else same[one] for text in texts]


def _by_tags(
    tags: Mapping[str, Codes], positions: Codes, num_volumes: int, *, is_exact: bool
) -> tuple[tuple[str, ...], Codes] | None:
    """Return the first tags that divide the frames into this many volumes, and which is whose."""
    surplus = len(positions) - len(np.unique(positions))
    for names in _sets_of(list(tags)):
        combined = np.zeros(len(positions), dtype=np.intp)
        for name in names:
            combined = combined * (int(tags[name].max()) + 1) + tags[name]
        _, codes = np.unique(combined, return_inverse=True)
        if int(codes.max()) + 1 != num_volumes:
            continue
        left = len(positions) - len(np.unique(codes * (int(positions.max()) + 1) + positions))
        if left > (0 if is_exact else _MOST_LEFT * surplus):
            continue
        if not set(names) <= set(CONTRAST_KEYWORDS) and _has_patch(codes, positions):
            continue
        return names, codes
    return None


def _sets_of(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(1, _MOST_TOGETHER + 1):
        yield from combinations(names, size)


def _has_patch(codes: Codes, positions: Codes) -> bool:
    """Tell whether one of the volumes only repeats a few slices of another one."""
    places = [set(positions[codes == code].tolist()) for code in range(int(codes.max()) + 1)]
    return any(one < other and 2 * len(one) < len(other) for one in places for other in places)


def _in_order(
    frames: Sequence[DicomFrame], traits: Sequence[Traits], names: tuple[str, ...], codes: Codes
) -> list[Volume]:
    """Sort volumes by the numbers of their tags, and those of other values as they were counted."""
    how = decision(DecisionKind.SPLIT_SERIES, by=list(names), num_scans=int(codes.max()) + 1)
    volumes = []
    for code in range(int(codes.max()) + 1):
        indices = np.flatnonzero(codes == code).tolist()
        texts = {name: traits[indices[0]].get(name, "") for name in names}
        first = min(count_of(frames[index]) for index in indices)
        order = []
        for text in texts.values():
            number = _number(text)
            order.append((0, number, 0) if number is not None else (1, *first))
        values = {name: text for name, text in texts.items() if name in CODED_KEYWORDS}
        volumes.append((order, Volume(tuple(indices), (how,), values)))
    volumes.sort(key=lambda one: one[0])
    return [volume for _, volume in volumes]


def _by_count(
    frames: Sequence[DicomFrame], positions: Codes, num_volumes: int, may_alternate: bool
) -> tuple[str, list[list[int]]] | None:
    """Return the count that runs through the positions ``num_volumes`` times, and the volumes.

    It may run volume by volume, or (``may_alternate``) position by position.
    """
    traits: Sequence[Traits] = ()
    for keyword in _COUNTS:
        if keyword == "InstanceNumber":
            numbers: list[float | None] = [frame.instance_number for frame in frames]
            if len({frame.file.path for frame in frames}) < len(frames):
                ranks = {key: rank for rank, key in enumerate(sorted(map(count_of, frames)))}
                numbers = [float(ranks[count_of(frame)]) for frame in frames]
        else:
            traits = traits or trusted_traits(frames)
            numbers = [_number(each.get(keyword, "")) for each in traits]
        known = np.array([number for number in numbers if number is not None])
        if len(np.unique(known)) < len(frames):
            continue
        volumes = _runs(known, positions, num_volumes)
        if volumes is None and may_alternate and keyword == "InstanceNumber":
            volumes = _alternating(known, positions, num_volumes)
        if volumes is not None:
            return keyword, volumes
    return None


def _runs(
    numbers: NDArray[np.float64], positions: Codes, num_volumes: int
) -> list[list[int]] | None:
    """Cut the count where a block of it ends, or else where a position comes again."""
    num_positions = len(np.unique(positions))
    blocks = ((numbers - numbers.min()) // num_positions).astype(np.intp)
    if (volumes := _checked(blocks, positions, num_volumes)) is not None:
        return volumes
    runs: list[list[int]] = []
    seen: set[int] = set()
    for index in np.argsort(numbers).tolist():
        if not runs or int(positions[index]) in seen:
            runs.append([])
            seen.clear()
        runs[-1].append(index)
        seen.add(int(positions[index]))
    longest = max(map(len, runs))
    volumes = []
    for run in runs:
        if 2 * len(run) < longest and volumes:  # a few slices once more
            volumes[-1] += run
        else:
            volumes.append(run)
    return volumes if len(volumes) == num_volumes else None


def _alternating(
    numbers: NDArray[np.float64], positions: Codes, num_volumes: int
) -> list[list[int]] | None:
    """Take turns, where all frames of a position are counted before the next one's."""
    places, turns = np.divmod(numbers - numbers.min(), num_volumes)
    if len(np.unique(np.stack([places, positions]), axis=1)[0]) > len(np.unique(positions)):
        return None
    return _checked(turns.astype(np.intp), positions, num_volumes)


def _checked(codes: Codes, positions: Codes, num_volumes: int) -> list[list[int]] | None:
    """Return the volumes, if there are as many, and none has two slices at one position."""
    _, codes = np.unique(codes, return_inverse=True)
    if int(codes.max()) + 1 != num_volumes:
        return None
    if len(np.unique(codes * (int(positions.max()) + 1) + positions)) < len(positions):
        return None
    return [np.flatnonzero(codes == code).tolist() for code in range(num_volumes)]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
