"""Study: every file below a path looked at and read, one scan after another."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raddiag_hf.imaging.dicom.grouping import group_into_series, split_off_screenshots
from raddiag_hf.imaging.dicom.header import DicomHeader, read_dicom_header
from raddiag_hf.imaging.dicom.scan import read_series
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.formats import FileFormat, sniff_format
from raddiag_hf.imaging.nifti import read_nifti
from raddiag_hf.imaging.npy import read_npy
from raddiag_hf.imaging.picture_names import split_by_name
from raddiag_hf.imaging.pictures import read_picture, read_picture_stack
from raddiag_hf.imaging.read_settings import ReadSettings
from raddiag_hf.imaging.scan import ReadLimits, Scan, ScanReadError, ScanReadReason


@dataclass(frozen=True)
class FilesLookedAt:
    """How far reading has come."""

    number: int
    total: int


StudyEvent = Scan | ScanReadError | FilesLookedAt


def read_study(
    path: Path,
    limits: ReadLimits,
    settings: ReadSettings,
    stack_pictures: bool,
    set_aside: Mapping[Path, ScanReadError],
) -> Iterator[StudyEvent]:
    """Read every scan of a file or folder, in this process.

    Args:
        path: The file or folder.
        limits: How large scans may be.
        settings: What to do where files leave a choice.
        stack_pictures: Whether the pictures of one folder are slices of one scan.
        set_aside: Files, and folders of files, that are not to be opened, and what is said of them.

    Yields:
        Each scan as soon as it is read, each error, and after each file how many were looked at.

    Raises:
        ScanReadError: If the path cannot be looked into.
    """
    study = _Study(limits, settings, set_aside)
    files = study.list_files(path)
    yield from study.errors
    for number, file in enumerate(files, start=1):
        yield from study.look_at(file)
        yield FilesLookedAt(number, len(files))
    yield from study.finish(stack_pictures)


def read_pictures(
    folder: Path,
    paths: Sequence[Path],
    limits: ReadLimits,
    set_aside: Mapping[Path, ScanReadError],
) -> Iterator[Scan]:
    """Read the named pictures of a folder as the slices of one scan, in this process.

    Yields:
        The scan.

    Raises:
        ScanReadError: For the first picture at fault.
    """
    for path in paths:
        if path in set_aside:
            raise set_aside[path]
    yield read_picture_stack(paths, limits)


@dataclass
class _Study:
    """Sorts files by format; DICOM and pictures wait until all files are known."""

    limits: ReadLimits
    settings: ReadSettings
    set_aside: Mapping[Path, ScanReadError]
    errors: list[ScanReadError] = field(default_factory=list)
    headers: list[DicomHeader] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)

    def list_files(self, path: Path) -> list[Path]:
        """Return the files below a folder in natural order; links to folders are not followed."""
        with only_scan_read_errors(path, "the path", quote=False):
            if not path.is_dir():
                return [path]
        files: list[Path] = []
        for folder, folders, names in os.walk(path, onerror=self._cannot_enter):
            folders.sort(key=_natural)
            files += [Path(folder, name) for name in sorted(names, key=_natural)]
            if len(files) > self.limits.max_files:
                raise ScanReadError(
                    path,
                    ScanReadReason.TOO_LARGE,
                    f"more than {self.limits.max_files} files in the folder",
                )
        if not files:
            raise ScanReadError(path, ScanReadReason.EMPTY, "a folder without files")
        return files

    def _cannot_enter(self, error: OSError) -> None:
        found = f"the folder cannot be listed: {error.strerror}"
        self.errors.append(ScanReadError(error.filename, ScanReadReason.UNREADABLE, found))

    def look_at(self, path: Path) -> Iterator[Scan | ScanReadError]:
        """Read a file, or put it by for those that belong to it."""
        for one in (path, *path.parents) if self.set_aside else ():
            if one in self.set_aside:
                said = self.set_aside[one]
                yield ScanReadError(path, said.reason, said.found)
                return
        try:
            with only_scan_read_errors(path, "the file", quote=False):
                file_format = sniff_format(path)
            if file_format is FileFormat.DICOM:
                # The text of its header names the patient.
                with only_scan_read_errors(path, "the DICOM header", quote=False):
                    self.headers.append(read_dicom_header(path, self.limits))
            elif file_format is FileFormat.PICTURE:
                self.pictures.append(path)
            elif file_format is FileFormat.NIFTI:
                with only_scan_read_errors(path, "the NIfTI file", quote=True):
                    scan = read_nifti(path, self.limits)
                yield scan
            else:
                with only_scan_read_errors(path, "the NPY file", quote=True):
                    scan = read_npy(path, self.limits, self.settings.npy_depth)
                yield scan
        except ScanReadError as error:
            yield error

    def finish(self, stack_pictures: bool) -> Iterator[Scan | ScanReadError]:
        """Read what was put by."""
        images, screenshots = split_off_screenshots(self.headers)
        for header in screenshots:
            found = "a secondary capture beside the acquired images of its study"
            yield ScanReadError(header.file.path, ScanReadReason.NOT_DIAGNOSTIC, found)
        for series in group_into_series(images):
            scans, errors = read_series(series, self.limits, self.settings)
            yield from scans
            yield from errors
        folders: dict[Path, list[Path]] = {}
        for path in self.pictures:
            folders.setdefault(path.parent if stack_pictures else path, []).append(path)
        for paths in (stack for folder in folders.values() for stack in split_by_name(folder)):
            try:
                if len(paths) > 1:
                    yield read_picture_stack(paths, self.limits)
                else:
                    yield read_picture(paths[0], self.limits)
            except ScanReadError as error:
                yield error


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which ``frame10`` follows ``frame9``."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in parts]
