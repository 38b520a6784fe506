"""Reading: a file, a series folder or a whole study folder in, scans out. The front door."""

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.imaging.dicom.grouping import group_into_series, split_off_screenshots
from raddiag_hf.imaging.dicom.header import DicomHeader, read_dicom_header
from raddiag_hf.imaging.dicom.scan import read_series
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.formats import FileFormat, sniff_format
from raddiag_hf.imaging.nifti import read_nifti
from raddiag_hf.imaging.npy import read_npy
from raddiag_hf.imaging.picture_names import SINGLE_PICTURES, split_by_name
from raddiag_hf.imaging.pictures import read_picture, read_picture_stack
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
    by size and orientation), NIfTI, NPY, PNG, JPEG, TIFF, BMP.

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
    readers = _FileReaders(limits, settings)
    files = readers.list_files(path)
    for number, file in enumerate(files, start=1):
        readers.look_at(file)
        progress("Reading scans", number, len(files))
    if stack_pictures is None:
        stack_pictures = modality not in SINGLE_PICTURES
    scans, errors = readers.finish(stack_pictures)
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


class _FileReaders:
    """Sorts files by format; DICOM waits until all headers are known."""

    def __init__(self, limits: ReadLimits, settings: ReadSettings) -> None:
        self._limits = limits
        self._settings = settings
        self._headers: list[DicomHeader] = []
        self._pictures: list[Path] = []
        self._scans: list[Scan] = []
        self._errors: list[ScanReadError] = []

    def list_files(self, path: Path) -> list[Path]:
        """Return the files below a folder in natural order; links to folders are not followed."""
        with only_scan_read_errors(path, "the path", quote=False):
            if not path.is_dir():
                return [path]
        files: list[Path] = []
        for folder, folders, names in os.walk(path, onerror=self._cannot_enter):
            folders.sort(key=_natural)
            files += [Path(folder, name) for name in sorted(names, key=_natural)]
            if len(files) > self._limits.max_files:
                raise ScanReadError(
                    path,
                    ScanReadReason.TOO_LARGE,
                    f"more than {self._limits.max_files} files in the folder",
                )
        if not files:
            raise ScanReadError(path, ScanReadReason.EMPTY, "a folder without files")
        return files

    def _cannot_enter(self, error: OSError) -> None:
        found = f"the folder cannot be listed: {error.strerror}"
        self._errors.append(ScanReadError(error.filename, ScanReadReason.UNREADABLE, found))

    def look_at(self, path: Path) -> None:
        """Read a file, or put it by for those that belong to it."""
        try:
            with only_scan_read_errors(path, "the file", quote=False):
                file_format = sniff_format(path)
            if file_format is FileFormat.DICOM:
                # The text of its header names the patient.
                with only_scan_read_errors(path, "the DICOM header", quote=False):
                    self._headers.append(read_dicom_header(path, self._limits))
            elif file_format is FileFormat.PICTURE:
                self._pictures.append(path)
            elif file_format is FileFormat.NIFTI:
                with only_scan_read_errors(path, "the NIfTI file", quote=True):
                    self._scans.append(read_nifti(path, self._limits))
            else:
                with only_scan_read_errors(path, "the NPY file", quote=True):
                    self._scans.append(read_npy(path, self._limits, self._settings.npy_depth))
        except ScanReadError as error:
            self._errors.append(error)

    def finish(self, stack_pictures: bool) -> tuple[list[Scan], list[ScanReadError]]:
        """Read what was put by; return all scans and all errors."""
        images, screenshots = split_off_screenshots(self._headers)
        for header in screenshots:
            found = "a secondary capture beside the acquired images of its study"
            path = header.file.path
            self._errors.append(ScanReadError(path, ScanReadReason.NOT_DIAGNOSTIC, found))
        dicom_scans: list[Scan] = []
        for series in group_into_series(images):
            scans, errors = read_series(series, self._limits, self._settings)
            dicom_scans += scans
            self._errors += errors
        self._read_pictures(stack_pictures)
        return dicom_scans + self._scans, self._errors

    def _read_pictures(self, stack_pictures: bool) -> None:
        folders: dict[Path, list[Path]] = {}
        for path in self._pictures:
            folders.setdefault(path.parent if stack_pictures else path, []).append(path)
        for paths in (stack for folder in folders.values() for stack in split_by_name(folder)):
            try:
                if len(paths) > 1:
                    self._scans.append(read_picture_stack(paths, self._limits))
                else:
                    self._scans.append(read_picture(paths[0], self._limits))
            except ScanReadError as error:
                self._errors.append(error)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which ``frame10`` follows ``frame9``."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts]


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
