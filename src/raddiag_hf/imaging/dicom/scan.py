"""Scans of a series: slices put in order, decoded and shown as their tags say."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np

from raddiag_hf.imaging.dicom.decoding import decode_stack
from raddiag_hf.imaging.dicom.diagnostic import CROSS_SECTIONAL
from raddiag_hf.imaging.dicom.display import as_displayed, clipped, common_window
from raddiag_hf.imaging.dicom.file import Tags
from raddiag_hf.imaging.dicom.grouping import group_like_slices
from raddiag_hf.imaging.dicom.header import DicomFrame, DicomHeader, key_of_run
from raddiag_hf.imaging.dicom.localisers import is_shaped_like_localiser
from raddiag_hf.imaging.dicom.repetitions import without_repetitions
from raddiag_hf.imaging.dicom.stacks import Stack, common_path, order_slices
from raddiag_hf.imaging.dicom.traits import COUNTING_KEYWORDS
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.intensity import (
    all_finite,
    invert,
)
from raddiag_hf.imaging.read_settings import DEFAULT_READING, ReadSettings
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ReadLimits,
    Scan,
    ScanReadError,
    ScanReadReason,
    decision,
)
from raddiag_hf.vocabulary import Anatomy, Modality, Plane

_DIGEST_LETTERS = 12


def read_series(
    series: Sequence[DicomHeader], limits: ReadLimits, settings: ReadSettings = DEFAULT_READING
) -> tuple[list[Scan], list[ScanReadError]]:
    """Decode the files of one DICOM series into its scans.

    Intensities are modality values: Hounsfield units for CT, what the scanner measured for MRI
    and PET. Projections, ultrasound and scintigrams, whose values mean nothing but display, also
    get their first VOI lookup table or window. MRI does not: its windows differ from slice to
    slice, and would make a volume depend on whether a vendor wrote them. MONOCHROME1 is inverted
    last, once, within the range of the scan.

    Args:
        series: Headers of the files, in any order.
        limits: How large a scan may be.
        settings: What to do where files leave a choice.

    Returns:
        The scans, and an error for every file, or group of files, that gave none.
    """
    groups = group_like_slices(series)
    if is_shaped_like_localiser(groups):
        found = "a localiser: a few slices, far apart, in planes across one another"
        return [], [
            ScanReadError(header.file.path, ScanReadReason.NOT_DIAGNOSTIC, found)
            for header in series
        ]
    num_mosaics = sum(group.header.mosaic is not None for group in groups)
    if num_mosaics > limits.max_volumes:
        error = ScanReadError(
            common_path(frame for header in series for frame in header.frames),
            ScanReadReason.UNSUPPORTED,
            f"a 4D series of {num_mosaics} mosaics, at most {limits.max_volumes} volumes of a "
            "series are read",
        )
        return [], [error]
    stacks: list[Stack] = []
    errors: list[ScanReadError] = []
    for group in groups:
        try:
            stacks += order_slices(group, limits)
        except ScanReadError as error:
            errors.append(error)
    scans: list[Scan] = []
    for number, stack in enumerate(stacks, start=1):
        try:
            # What goes wrong beside the pixels may quote the text of a tag, and so a name.
            with only_scan_read_errors(stack.path, "the series", quote=False):
                scan, lost = _read_stack(stack, limits, settings)
        except ScanReadError as error:
            errors.append(error)
            continue
        errors += lost
        first = _stored_before(stack, scan, scans)
        if first is not None:
            scans[first] = _with_copy_told(scans[first])
            continue
        scan_id = _digest(stack.header.series_key)
        scans.append(replace(scan, scan_id=f"{scan_id}-{number}" if len(stacks) > 1 else scan_id))
    return scans, errors


def _stored_before(stack: Stack, scan: Scan, others: Sequence[Scan]) -> int | None:
    """Return the scan that a volume, told apart by counts and times alone, is a copy of."""
    by = [
        name
        for one in stack.decisions
        if one["kind"] == DecisionKind.SPLIT_SERIES and isinstance(one["by"], list)
        for name in one["by"]
    ]
    if not by or not COUNTING_KEYWORDS.issuperset(by):
        return None
    for index, other in enumerate(others):
        if np.array_equal(scan.volume, other.volume) and scan.spacing_mm == other.spacing_mm:
            return index
    return None


def _with_copy_told(scan: Scan) -> Scan:
    told = decision(DecisionKind.DUPLICATE_POSITIONS, num_dropped=len(scan.volume))
    decisions = scan.provenance["decisions"]
    assert isinstance(decisions, list)
    return replace(scan, provenance={**scan.provenance, "decisions": [*decisions, told]})


def _digest(identity: str) -> str:
    return hashlib.sha256(os.fsencode(identity)).hexdigest()[:_DIGEST_LETTERS]


def _read_stack(
    stack: Stack, limits: ReadLimits, settings: ReadSettings
) -> tuple[Scan, list[ScanReadError]]:
    """Return the scan, and an error for each file of it that does not decode."""
    header = stack.header
    num_tiles = 1 if header.mosaic is None else header.mosaic.num_tiles
    depth = len(stack.frames) * num_tiles
    limits.check(stack.path, depth, header.rows, header.columns)
    decoded = decode_stack(stack, settings)
    volume, slots = decoded.volume, decoded.slots
    frames = [stack.frames[slot] for slot in slots]
    decisions = [*stack.decisions, *decoded.decisions]
    if header.mosaic is not None:
        volume = header.mosaic.unfold(volume[0])
        decisions.append(decision(DecisionKind.MOSAIC_UNFOLDED, num_slices=num_tiles))
    else:
        kept, repetitions = without_repetitions(stack, volume, slots)
        decisions += repetitions
        if len(kept) < len(frames):
            volume, frames = volume[kept], [frames[index] for index in kept]
    if header.samples > 1 or header.photometric == "PALETTE COLOR":
        decisions.append(decision(DecisionKind.COLOUR_TO_GREY))
    elif header.modality_code not in CROSS_SECTIONAL:
        volume, windowed = as_displayed(volume, frames)
        decisions += windowed
    window = None
    if header.photometric == "MONOCHROME1":
        volume = invert(volume)
        decisions.append(decision(DecisionKind.MONOCHROME1_INVERTED))
    elif header.modality_code == "CT":
        window = common_window(volume, frames)
        if settings.ct_range == "window":
            volume, windowed = clipped(volume, window)
            decisions += windowed
    volume, filled = all_finite(stack.path, volume)
    scan = Scan(
        volume=volume,
        modality=Modality.from_dicom(header.modality_code),
        anatomy=_anatomy(header),
        plane=_view(header) if stack.plane is Plane.UNKNOWN else stack.plane,
        spacing_mm=stack.spacing_mm,
        is_picture=len(volume) == 1,
        display_window=window,
        patient_key=header.patient_key,
        study_key=key_of_run(header.study_key),
        provenance={
            "path": str(stack.path),
            "format": "dicom",
            "num_files": len({frame.file.path for frame in frames}),
            "decisions": [*decisions, *filled, *_tag_decisions(header, frames)],
            **({"volume": dict(stack.values)} if stack.values else {}),
        },
    )
    return scan, decoded.lost


def _anatomy(header: DicomHeader) -> Anatomy:
    """Return what the tags say of the region, the most formal ones first."""
    tags = Tags(header.file.header)
    candidates = (
        tags.text("BodyPartExamined"),
        tags.item("AnatomicRegionSequence").text("CodeMeaning"),
        "breast" if header.modality_code == "MG" else "",
        tags.text("SeriesDescription"),
        tags.text("ProtocolName"),
        tags.text("StudyDescription"),
    )
    known = (Anatomy.from_dicom(text) for text in candidates)
    return next((anatomy for anatomy in known if anatomy is not Anatomy.UNKNOWN), Anatomy.UNKNOWN)


def _view(header: DicomHeader) -> Plane:
    if header.modality_code == "MG":
        return Plane.UNKNOWN
    return Plane.from_dicom_view(Tags(header.file.header).text("ViewPosition"))


def _tag_decisions(header: DicomHeader, frames: Sequence[DicomFrame]) -> list[Decision]:
    decisions = []
    if any(frame.file.syntax_guessed for frame in frames):
        decisions.append(decision(DecisionKind.TRANSFER_SYNTAX_GUESSED))
    if header.step_mm is not None and isfinite(header.step_mm):
        decisions.append(decision(DecisionKind.PLACED_BY_SPACING, step_mm=header.step_mm))
    elif header.step_mm is not None:
        kind = DecisionKind.ORDERED_WITHOUT_POSITIONS
        decisions.append(decision(kind, ordered_by="frame number"))
    if header.declared_frames < header.file.num_frames:
        declared, found = header.declared_frames, header.file.num_frames
        decisions.append(decision(DecisionKind.FRAMES_RECOUNTED, declared=declared, found=found))
    if header.unusable_tags:
        decisions.append(decision(DecisionKind.UNUSABLE_TAGS, keywords=list(header.unusable_tags)))
    return decisions
