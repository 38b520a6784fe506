"""Series: the files of a folder grouped by study, series, size and orientation of like slices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isclose, isnan

from raddiag_hf.imaging.dicom.diagnostic import CROSS_SECTIONAL, SECONDARY_CAPTURES
from raddiag_hf.imaging.dicom.geometry import same_orientation
from raddiag_hf.imaging.dicom.header import DicomFrame, DicomHeader
from raddiag_hf.imaging.scan import Decision, DecisionKind, decision

PROJECTIONS = frozenset(
    {"CR", "DX", "RG", "IO", "PX", "MG", "XA", "RF", "DF", "DS", "US", "IVUS", "BMD"}
)
"""Modality codes of which every file is a scan of its own: views, stills, clips."""

_FEWEST_VIEWS = 4
"""Slices of three orientations are a localiser's; more are a rotating projection."""
_SPACING_TOLERANCE = 0.01


@dataclass(frozen=True)
class SliceGroup:
    """Frames of one series that have size, kind and orientation in common, not yet in order.

    Attributes:
        header: That of one of the files; what it says of size and kind holds for all frames.
        frames: The frames, each once.
        is_changing_view: Every frame has an orientation of its own.
        decisions: What happened to other files of the series.
    """

    header: DicomHeader
    frames: tuple[DicomFrame, ...]
    is_changing_view: bool
    decisions: tuple[Decision, ...]


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

    Cross-sections are pooled over files, then told apart by size, colour, declared stack,
    orientation and pixel spacing. Projections, ultrasound clips and mosaics stay file by file.

    Args:
        series: The files of one series in any order.
    """
    distinct = _without_duplicates(series)
    decisions: tuple[Decision, ...] = ()
    if len(distinct) < len(series):
        num_dropped = len(series) - len(distinct)
        decisions = (decision(DecisionKind.DUPLICATE_INSTANCES, num_dropped=num_dropped),)
    pools: dict[object, list[DicomHeader]] = {}
    for header in sorted(distinct, key=_content_order):
        shape = (header.rows, header.columns, header.samples, header.photometric)
        pools.setdefault(shape if _is_pooled(header) else header.file.path, []).append(header)
    groups = []
    for pool in pools.values():
        clusters = _clusters([frame for header in pool for frame in header.frames])
        if len(clusters) >= _FEWEST_VIEWS and all(len(cluster) == 1 for cluster in clusters):
            frames = tuple(frame for cluster in clusters for frame in cluster)
            groups.append(SliceGroup(pool[0], frames, True, decisions))
        else:
            groups += [
                SliceGroup(pool[0], tuple(cluster), False, decisions) for cluster in clusters
            ]
    return groups


def _without_duplicates(series: Sequence[DicomHeader]) -> list[DicomHeader]:
    """Keep one of the files that hold the same instance.

    Some exporters give one identity to all instances: those differ in number or position.
    """
    distinct: dict[object, DicomHeader] = {}
    for header in series:
        first = header.frames[0]
        identity = (
            header.instance_key or header.file.path,
            first.instance_number,
            first.position,
            first.traits.get("AcquisitionTime"),
            header.file.transfer_syntax,
            (header.rows, header.columns),
        )
        distinct.setdefault(identity, header)
    return list(distinct.values())


def _content_order(header: DicomHeader) -> tuple[object, ...]:
    """Order files by what they hold; names would make results depend on how they were copied."""
    first = header.frames[0]
    return (
        header.rows,
        header.columns,
        first.orientation or (),
        first.position or (),
        first.instance_number if first.instance_number is not None else -1.0,
        sorted(first.traits.items()),
        header.instance_key,
    )


def _is_pooled(header: DicomHeader) -> bool:
    if header.mosaic is not None or header.modality_code in PROJECTIONS:
        return False
    if all(frame.is_located for frame in header.frames):
        return True
    return header.modality_code in CROSS_SECTIONAL and len(header.frames) == 1


def _clusters(frames: Sequence[DicomFrame]) -> list[list[DicomFrame]]:
    """Put parallel slices of one declared stack and one pixel spacing together."""
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
    if first.is_located != second.is_located or first.stack_id != second.stack_id:
        return False
    one, other = first.orientation, second.orientation
    if first.is_located and one and other and not same_orientation(one, other):
        return False
    return all(
        isnan(one_mm) or isnan(other_mm) or isclose(one_mm, other_mm, rel_tol=_SPACING_TOLERANCE)
        for one_mm, other_mm in zip(first.pixel_spacing_mm, second.pixel_spacing_mm, strict=True)
    )
