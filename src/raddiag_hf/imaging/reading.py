"""Reading: a file, a series folder or a whole study folder in, scans out. The front door.

Files are read in a process of their own: one that kills, stalls or bloats it is rejected by name.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.imaging.guard import read_guarded
from raddiag_hf.imaging.picture_names import SINGLE_PICTURES
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
from raddiag_hf.imaging.study import FilesLookedAt, StudyEvent, read_pictures, read_study
from raddiag_hf.vocabulary import Anatomy, Modality

logger = logging.getLogger(__name__)

NO_SCAN_LOST = frozenset(
    {
        ScanReadReason.UNKNOWN_FORMAT,
        ScanReadReason.NOT_AN_IMAGE,
        ScanReadReason.NOT_DIAGNOSTIC,
    }
)
"""Reasons that are everyday in a study folder; any other may hide part of an examination."""


@dataclass(frozen=True)
class Rejected:
    """A file, or the files of a series, that gave no scan, and why; `reason` is stable."""

    path: Path
    reason: ScanReadReason
    found: str


@dataclass(frozen=True)
class StudyReading:
    """What became of every file under a path.

    Attributes:
        scans: In an order that depends on content alone for DICOM (study, series, orientation),
            then by natural order of names; ids are unique within.
        rejected: What gave no scan. What was decided about scans that are read stands in their
            ``provenance["decisions"]``.
    """

    scans: tuple[Scan, ...]
    rejected: tuple[Rejected, ...]


def read_scans(
    path: Path | str,
    *,
    modality: Modality | None = None,
    anatomy: Anatomy | None = None,
    limits: ReadLimits | None = None,
    settings: ReadSettings = DEFAULT_READING,
    stack_pictures: bool | None = False,
    progress: Progress = no_progress,
) -> StudyReading:
    """Read every scan of a file, a series folder or a study folder (searched to any depth).

    Formats are known by content, not by name: DICOM (grouped into series by their identity, then
    by size and orientation), NIfTI, NPY, PNG, JPEG, TIFF, BMP. A file that ends the process which
    reads it, or takes more time or memory than the limits allow, is rejected like any other.

    Args:
        path: The file or folder.
        modality: What made the scans; None leaves it to the tags. DICOM tags are overridden, and
            that is recorded.
        anatomy: What they show, likewise.
        limits: How large scans may be; None takes the defaults.
        settings: What to do where files leave a choice.
        stack_pictures: Whether the pictures of one folder are slices of one scan, in natural order
            of their names (of one for each series, where names tell several apart), rather than
            scans of their own. None leaves it to the modality: those of radiographs are views.
        progress: Called after each file.

    Returns:
        At least one scan, and what was rejected.

    Raises:
        ScanReadError: If nothing under the path is a scan. For a single file it says why; for a
            folder it carries the one common reason, or ``EMPTY``, and counts the reasons.
    """
    path = Path(path)
    limits = limits or ReadLimits()
    if stack_pictures is None:
        stack_pictures = modality not in SINGLE_PICTURES

    def tell(event: StudyEvent) -> None:
        if isinstance(event, FilesLookedAt):
            progress("Reading scans", event.number, event.total)

    events = read_guarded(read_study, path, (limits, settings, stack_pictures), limits, tell)
    errors = [event for event in events if isinstance(event, ScanReadError)]
    scans = [event for event in events if isinstance(event, Scan)]
    scans.sort(key=lambda scan: scan.provenance["format"] != "dicom")
    if not scans:
        raise _nothing_found(path, errors)
    for error in errors:
        level = logging.INFO if error.reason in NO_SCAN_LOST else logging.WARNING
        logger.log(level, "not read: %s", error)
    return StudyReading(
        scans=tuple(with_unique_ids([_labelled(scan, modality, anatomy) for scan in scans])),
        rejected=tuple(Rejected(error.path, error.reason, error.found) for error in errors),
    )


def read_scan(
    path: Path | str,
    *,
    modality: Modality | None = None,
    anatomy: Anatomy | None = None,
    limits: ReadLimits | None = None,
    settings: ReadSettings = DEFAULT_READING,
) -> Scan:
    """Read the one scan of a file or a series folder.

    A folder of pictures is one stack of slices, in natural order of their names.

    Args:
        path: The file or folder.
        modality: As for `read_scans`.
        anatomy: As for `read_scans`.
        limits: As for `read_scans`.
        settings: As for `read_scans`.

    Raises:
        ScanReadError: As `read_scans`; ``INCONSISTENT_SERIES`` where there are several scans.
    """
    reading = read_scans(
        path,
        modality=modality,
        anatomy=anatomy,
        limits=limits,
        settings=settings,
        stack_pictures=True,
    )
    if len(reading.scans) > 1:
        shapes = ", ".join("x".join(map(str, scan.volume.shape)) for scan in reading.scans[:4])
        more = ", ..." if len(reading.scans) > 4 else ""
        raise ScanReadError(
            path,
            ScanReadReason.INCONSISTENT_SERIES,
            f"{len(reading.scans)} scans ({shapes}{more}), expected one",
        )
    return reading.scans[0]


def read_slices(paths: Sequence[Path], limits: ReadLimits | None = None) -> Scan:
    """Read pictures as the slices of one scan, in the order given.

    Args:
        paths: Of pictures, at least one.
        limits: As for `read_scans`.

    Raises:
        ScanReadError: For the first picture at fault, or where sizes differ.
    """
    limits = limits or ReadLimits()
    (scan,) = read_guarded(read_pictures, paths[0].parent, (tuple(paths), limits), limits)
    assert isinstance(scan, Scan)
    return scan


def _nothing_found(path: Path, errors: Sequence[ScanReadError]) -> ScanReadError:
    if len(errors) == 1 and errors[0].path == path:
        return errors[0]
    counts = Counter(error.reason for error in errors)
    words = ", ".join(f"{reason.value} {count}" for reason, count in counts.most_common())
    first = f"; first: {errors[0].path.name}: {errors[0].found}" if errors else ""
    reason = errors[0].reason if len(counts) == 1 else ScanReadReason.EMPTY
    return ScanReadError(path, reason, f"no scan in this folder ({words}){first}")


def _labelled(scan: Scan, modality: Modality | None, anatomy: Anatomy | None) -> Scan:
    """Let the caller's words stand, and record where the file said otherwise."""
    decisions: list[Decision] = []
    if modality is not None and scan.modality not in (None, modality):
        decisions.append(decision(DecisionKind.MODALITY_OVERRIDDEN, file_says=scan.modality))
    if anatomy is not None and scan.anatomy not in (Anatomy.UNKNOWN, anatomy):
        decisions.append(decision(DecisionKind.ANATOMY_OVERRIDDEN, file_says=scan.anatomy))
    taken = scan.provenance["decisions"]
    if decisions and isinstance(taken, list):
        scan = replace(scan, provenance={**scan.provenance, "decisions": [*taken, *decisions]})
    return replace(scan, modality=modality or scan.modality, anatomy=anatomy or scan.anatomy)


def with_unique_ids(scans: Sequence[Scan]) -> list[Scan]:
    """Number the scans that share a name with an earlier one: ``view, view-2``."""
    taken: set[str] = set()
    unique = []
    for scan in scans:
        scan_id, number = scan.scan_id, 1
        while scan_id in taken:
            number += 1
            scan_id = f"{scan.scan_id}-{number}"
        taken.add(scan_id)
        unique.append(replace(scan, scan_id=scan_id))
    return unique
