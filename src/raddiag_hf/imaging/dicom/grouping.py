"""Series: the files of a folder grouped by study, series, size and orientation of like slices."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import isclose, isnan

import numpy as np

from raddiag_hf.imaging.dicom.diagnostic import CROSS_SECTIONAL, SECONDARY_CAPTURES
from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.geometry import SAME_POSITION_MM, same_orientation, slice_normal
from raddiag_hf.imaging.dicom.header import DicomFrame, DicomHeader
from raddiag_hf.imaging.dicom.traits import trusted_traits
from raddiag_hf.imaging.dicom.volumes import split_volumes
from raddiag_hf.imaging.scan import Decision, DecisionKind, decision

PROJECTIONS = frozenset(
    {"CR", "DX", "RG", "IO", "PX", "MG", "XA", "RF", "DF", "DS", "US", "IVUS", "BMD"}
)
"""Modality codes of which every file is a scan of its own: views, stills, clips."""

_FEWEST_VIEWS = 4
"""Slices of three orientations are a localiser's; more are a rotating projection."""
_SPACING_TOLERANCE = 0.01
_PACKAGE_RATIO = 1.1
_SAME_CORNER_MM = 0.5


@dataclass(frozen=True)
class SliceGroup:
    """Frames of one series that have size, kind and orientation in common, not yet in order.

    Attributes:
        header: That of one of the files; what it says of size and kind holds for all frames.
        frames: The frames, each once.
        is_changing_view: Every frame has an orientation of its own.
        decisions: What happened to other files of the series.
        values: What a mosaic has of the tags that tell it from the others of its series.
    """

    header: DicomHeader
    frames: tuple[DicomFrame, ...]
    is_changing_view: bool
    decisions: tuple[Decision, ...]
    values: Mapping[str, str] = field(default_factory=dict)


def group_into_series(headers: Iterable[DicomHeader]) -> list[list[DicomHeader]]:
    """Return the files of each series together, in an order that file names have no part in."""
    series: dict[tuple[str, float, str, str], list[DicomHeader]] = {}
    for header in headers:
        key = (header.study_key, header.series_number, header.series_key, header.modality_code)
        series.setdefault(key, []).append(header)
    return [files for key in sorted(series) for files in _by_patient(series[key])]


def _by_patient(series: list[DicomHeader]) -> list[list[DicomHeader]]:
    """Split a series whose identity several patients share: slices of two are no volume."""
    patients: dict[str, list[DicomHeader]] = {}
    for header in series:
        patients.setdefault(header.patient_key, []).append(header)
    return [series] if len(patients.keys() - {""}) < 2 else list(patients.values())


def split_off_screenshots(
    headers: Sequence[DicomHeader],
) -> tuple[list[DicomHeader], list[DicomHeader]]:
    """Set aside secondary captures of studies that also hold acquired images.

    Alone, a secondary capture is a digitised film or a converted image. Beside acquired images of
    its modality, or without one, it is a screenshot, a dose sheet or a rendering of them.

    Returns:
        The images, and the secondary captures beside images.
    """
    acquired: dict[str, set[str]] = {}
    for header in headers:
        if header.sop_class not in SECONDARY_CAPTURES:
            acquired.setdefault(header.study_key, {"", "OT"}).add(header.modality_code)
    images: list[DicomHeader] = []
    screenshots: list[DicomHeader] = []
    for header in headers:
        is_capture = header.sop_class in SECONDARY_CAPTURES
        is_beside = is_capture and header.modality_code in acquired.get(header.study_key, ())
        (screenshots if is_beside else images).append(header)
    return images, screenshots


def group_like_slices(series: Sequence[DicomHeader]) -> list[SliceGroup]:
    """Return the groups of a series whose frames may be slices of one volume.

    Cross-sections are pooled over files, then told apart by size, colour, orientation, pixel
    spacing and declared stack; stacks that are packages of one volume are put together.
    Projections, ultrasound clips and mosaics stay file by file.

    Args:
        series: The files of one series in any order.
    """
    distinct = _without_duplicates(series)
    decisions: tuple[Decision, ...] = ()
    if len(distinct) < len(series):
        num_dropped = len(series) - len(distinct)
        decisions = (decision(DecisionKind.DUPLICATE_INSTANCES, num_dropped=num_dropped),)
    pools: dict[object, list[DicomHeader]] = {}
    for header in _in_content_order(distinct):
        shape = (header.rows, header.columns, header.samples, header.photometric)
        pools.setdefault(shape if _is_pooled(header) else header.file.path, []).append(header)
    groups = []
    for pool in pools.values():
        clusters = _clusters([frame for header in pool for frame in header.frames])
        if len(clusters) >= _FEWEST_VIEWS and all(len(cluster) == 1 for cluster in clusters):
            frames = tuple(frame for cluster in clusters for frame in cluster)
            groups.append(SliceGroup(pool[0], frames, True, decisions))
            continue
        for cluster in clusters:
            packages = _packages(cluster)
            merged = (
                decision(DecisionKind.MERGED_STACKS, num_stacks=len(packages))
                if len(packages) > 1 and _are_one_volume(packages)
                else None
            )
            if merged is not None:
                groups.append(SliceGroup(pool[0], tuple(cluster), False, (*decisions, merged)))
            else:
                groups += [
                    SliceGroup(pool[0], tuple(package), False, decisions) for package in packages
                ]
    return _with_splits_told(groups)


def _without_duplicates(series: Sequence[DicomHeader]) -> list[DicomHeader]:
    """Keep one of the files that hold the same instance.

    Some exporters give one identity to all instances: those differ in number or position.
    """
    sharing = Counter(header.instance_key for header in series)
    distinct: dict[object, DicomHeader] = {}
    for header in series:
        identity: object = header.instance_key or header.file.path
        if sharing[header.instance_key] > 1:
            first = header.frames[0]
            identity = (
                identity,
                first.instance_number,
                first.position,
                Tags(header.file.header).text("AcquisitionTime"),
                header.file.transfer_syntax,
                (header.rows, header.columns),
            )
        distinct.setdefault(identity, header)
    return list(distinct.values())


def _in_content_order(headers: Sequence[DicomHeader]) -> list[DicomHeader]:
    """Order files by what they hold; names would make results depend on how they were copied."""
    keys = [_content_key(header) for header in headers]
    sharing = Counter(keys)

    def key(one: tuple[tuple[object, ...], DicomHeader]) -> tuple[object, ...]:
        content, header = one
        is_shared = sharing[content] > 1
        traits = sorted(trusted_traits(header.frames[:1])[0].items()) if is_shared else []
        return (*content, traits)

    return [header for _, header in sorted(zip(keys, headers, strict=True), key=key)]


def _content_key(header: DicomHeader) -> tuple[object, ...]:
    first = header.frames[0]
    return (
        header.rows,
        header.columns,
        first.orientation or (),
        first.position or (),
        first.instance_number if first.instance_number is not None else -1.0,
        header.instance_key,
    )


def _is_pooled(header: DicomHeader) -> bool:
    if header.mosaic is not None or header.modality_code in PROJECTIONS:
        return False
    if all(frame.is_located for frame in header.frames):
        return True
    return header.modality_code in CROSS_SECTIONAL and len(header.frames) == 1


def _clusters(frames: Sequence[DicomFrame]) -> list[list[DicomFrame]]:
    """Put parallel slices of one pixel spacing together."""
    clusters: list[list[DicomFrame]] = []
    for frame in frames:
        for cluster in clusters:
            if _is_alike(cluster[0], frame):
                cluster.append(frame)
                break
        else:
            clusters.append([frame])
    return clusters


def _is_alike(first: DicomFrame, second: DicomFrame) -> bool:
    if first.is_located != second.is_located:
        return False
    return _is_parallel(first, second) and _has_equal_spacing(first, second)


def _is_parallel(first: DicomFrame, second: DicomFrame) -> bool:
    one, other = first.orientation, second.orientation
    return not (first.is_located and one and other) or same_orientation(one, other)


def _has_equal_spacing(first: DicomFrame, second: DicomFrame) -> bool:
    return all(
        isnan(one_mm) or isnan(other_mm) or isclose(one_mm, other_mm, rel_tol=_SPACING_TOLERANCE)
        for one_mm, other_mm in zip(first.pixel_spacing_mm, second.pixel_spacing_mm, strict=True)
    )


def _packages(cluster: Sequence[DicomFrame]) -> list[list[DicomFrame]]:
    """Return the frames of each stack that the files declare."""
    stacks: dict[str, list[DicomFrame]] = {}
    for frame in cluster:
        stacks.setdefault(frame.stack_id, []).append(frame)
    return list(stacks.values())


def _are_one_volume(packages: Sequence[Sequence[DicomFrame]]) -> bool:
    """Tell whether stacks lie in one another's gaps, or one on the other, and leave none.

    Two slabs of one orientation, such as both knees, lie apart or beside each other.
    """
    first = packages[0][0]
    if first.orientation is None or first.position is None:
        return False
    normal = slice_normal(first.orientation)
    places = [
        np.unique([np.round(frame.position or (0, 0, 0), 3) for frame in package], axis=0)
        for package in packages
    ]
    every = np.concatenate(places)
    heights = np.sort(every @ normal)
    steps = np.diff(heights)
    if len(steps) < 2 or steps.min() <= SAME_POSITION_MM:
        return False
    in_plane = every - np.outer(every @ normal, normal)
    # A tilted gantry moves the corner from slice to slice, evenly; a slab beside, by a leap.
    drift = np.abs(np.diff(in_plane[np.argsort(every @ normal)], axis=0)).max(axis=1)
    is_even = steps.max() <= _PACKAGE_RATIO * steps.min()
    return bool(is_even and drift.max() <= drift.min() + _SAME_CORNER_MM)


def _with_splits_told(groups: Sequence[SliceGroup]) -> list[SliceGroup]:
    """Record by what the cross-sections of one series fell apart."""
    mosaics = [group for group in groups if group.header.mosaic is not None]
    if len(mosaics) > 1:
        volumes = split_volumes([group.frames[0] for group in mosaics], [0] * len(mosaics))
        if len(volumes) == len(mosaics):
            told = [(mosaics[volume.indices[0]], volume) for volume in volumes]
            return [group for group in groups if group.header.mosaic is None] + [
                replace(
                    group, decisions=(*group.decisions, *volume.decisions), values=volume.values
                )
                for group, volume in told
            ]
    apart = [group for group in groups if _is_cross_section(group)]
    if len(apart) < 2:
        return list(groups)
    names = list(dict.fromkeys(name for pair in combinations(apart, 2) for name in _told_by(*pair)))
    how = decision(DecisionKind.SPLIT_SERIES, by=names, num_scans=len(apart))
    return [
        replace(group, decisions=(*group.decisions, how)) if group in apart else group
        for group in groups
    ]


def _is_cross_section(group: SliceGroup) -> bool:
    code = group.header.modality_code
    return code in CROSS_SECTIONAL or (code not in PROJECTIONS and group.frames[0].is_located)


def _told_by(first: SliceGroup, second: SliceGroup) -> Iterator[str]:
    one, other = first.header, second.header
    start, begin = first.frames[0], second.frames[0]
    differs = {
        "Rows": one.rows != other.rows,
        "Columns": one.columns != other.columns,
        "SamplesPerPixel": one.samples != other.samples,
        "PhotometricInterpretation": one.photometric != other.photometric,
        "ImagePositionPatient": start.is_located != begin.is_located,
        "ImageOrientationPatient": not _is_parallel(start, begin),
        "PixelSpacing": not _has_equal_spacing(start, begin),
        "StackID": start.stack_id != begin.stack_id,
    }
    found = [name for name, is_different in differs.items() if is_different]
    yield from found or ["InstanceNumber"]
