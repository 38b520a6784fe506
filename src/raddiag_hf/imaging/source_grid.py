"""Source grid: where the voxels of a scan lie in the patient, and how its file counts them.

A `Scan` is turned the way radiologists look at it. What is aligned with its file has to be turned
back, and needs the affine of the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.geometry import slice_normal
from raddiag_hf.imaging.dicom.grouping import (
    group_into_series,
    group_like_slices,
    split_off_screenshots,
)
from raddiag_hf.imaging.dicom.header import DicomHeader, read_dicom_header
from raddiag_hf.imaging.dicom.stacks import Stack, order_slices
from raddiag_hf.imaging.foreign_errors import only_scan_read_errors
from raddiag_hf.imaging.formats import FileFormat, sniff_format
from raddiag_hf.imaging.nifti import DISPLAY_AXES, nifti_grid, read_nifti_header, slice_axis
from raddiag_hf.imaging.scan import ReadLimits, Scan, ScanReadError

_NIFTI_ORDER = np.array([[2, 1], [1, 1], [0, 1]])
"""(depth, height, width) -> (width, height, depth), as NIfTI counts voxels of an image."""
_MOST_UNEVEN = 0.1
"""Slices further from an even spacing than this part of it have no affine."""


@dataclass(frozen=True, eq=False)
class SourceGrid:
    """The grid of the file that a scan was read from.

    Attributes:
        from_scan: nibabel orientation that turns a volume of the scan's axes into the file's.
        affine: Voxel of the file's axes to millimetres, right, front and up being positive.
        space_code: What the affine leads to, as NIfTI's ``sform_code`` says it: 0 nowhere known, 1
            the scanner, other values as the source file has them.
        statement: How the grid is known, or why not, in words.
    """

    from_scan: NDArray[np.float64]
    affine: NDArray[np.float64]
    space_code: int
    statement: str

    def turn(self, volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a volume of the scan's shape with the axes of the file."""
        return np.asarray(apply_orientation(volume, self.from_scan))


def source_grid(scan: Scan) -> SourceGrid:
    """Return the grid of a scan's file, reading the headers there again.

    Where nobody says how the scan lies in the patient (pictures, arrays, projections, slices at
    uneven distances, files that are gone) the grid has the spacing alone, and says so.
    """
    path, file_format = scan.provenance.get("path"), scan.provenance.get("format")
    found = None
    if isinstance(path, str) and Path(path).exists():
        if file_format == "nifti":
            found = _nifti_grid(Path(path), scan)
        elif file_format == "dicom":
            found = _dicom_grid(Path(path), scan)
    if found is not None:
        return found
    spacing = [size if isfinite(size) and size > 0 else 1.0 for size in reversed(scan.spacing_mm)]
    statement = "The source does not say where the scan lies: voxels match, positions are unknown."
    return SourceGrid(_NIFTI_ORDER, np.diag([*spacing, 1.0]), 0, statement)


def _nifti_grid(path: Path, scan: Scan) -> SourceGrid | None:
    try:
        with only_scan_read_errors(path, "the NIfTI header", quote=False):
            header = read_nifti_header(path)
            grid = nifti_grid(header)
    except ScanReadError:  # another file than the one that was read
        return None
    shape = (*(int(size) for size in header.get_data_shape()[:3]), 1, 1)[:3]
    axis = slice_axis(shape, grid.sizes_mm)
    affine, code = grid.affine, grid.space_code
    if affine is not None:
        stored = io_orientation(affine)
        shown = axcodes2ornt(DISPLAY_AXES[int(stored[axis, 0])])
        from_scan = ornt_transform(shown, stored)
        statement = "Shape and affine are those of the NIfTI file."
    else:
        order = [axis, *(other for other in (2, 1, 0) if other != axis)]
        from_scan = np.array([[source, 1] for source in order])
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)
        statement = "Shape is that of the NIfTI file, which does not say where the scan lies."
    turned = [scan.volume.shape[list(from_scan[:, 0]).index(target)] for target in range(3)]
    return SourceGrid(from_scan, affine, code, statement) if tuple(turned) == shape else None


def _dicom_grid(path: Path, scan: Scan) -> SourceGrid | None:
    """Return the grid of the one arrangement of slices there that fits the scan."""
    affines = []
    for stack in _stacks(path):
        shape = (len(stack.frames), stack.header.rows, stack.header.columns)
        fits = shape == scan.volume.shape and stack.plane is scan.plane and stack.path == path
        if fits and stack.header.mosaic is None:
            affines.append(_stack_affine(stack))
    first = affines[0] if affines else None
    if first is None or any(other is None or not np.allclose(first, other) for other in affines):
        return None
    statement = "Shape and affine follow the positions in the DICOM headers."
    return SourceGrid(_NIFTI_ORDER, first, 1, statement)


def _stacks(path: Path) -> Iterator[Stack]:
    limits = ReadLimits()
    images, _ = split_off_screenshots(list(_headers(path, limits)))
    for series in group_into_series(images):
        for group in group_like_slices(series):
            try:
                yield from order_slices(group, limits)
            except ScanReadError:  # it gave no scan either
                continue


def _headers(path: Path, limits: ReadLimits) -> Iterator[DicomHeader]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        try:
            with only_scan_read_errors(file, "the DICOM header", quote=False):
                header = _dicom_header(file, limits)
        except ScanReadError:  # what reading rejected
            continue
        if header is not None:
            yield header


def _dicom_header(path: Path, limits: ReadLimits) -> DicomHeader | None:
    is_dicom = sniff_format(path) is FileFormat.DICOM
    return read_dicom_header(path, limits) if is_dicom else None


def _stack_affine(stack: Stack) -> NDArray[np.float64] | None:
    """Return voxel (column, row, slice) to millimetres; DICOM's axes point left and back."""
    first = stack.frames[0]
    positions = [frame.position for frame in stack.frames if frame.position is not None]
    if first.orientation is None or len(positions) < len(stack.frames):
        return None
    if not all(isfinite(size) and size > 0 for size in first.pixel_spacing_mm):
        return None
    places = np.asarray(positions, dtype=np.float64)
    if len(places) > 1:
        step = (places[-1] - places[0]) / (len(places) - 1)
        uneven = np.abs(places - places[0] - np.arange(len(places))[:, None] * step).max()
        if uneven > _MOST_UNEVEN * np.linalg.norm(step):
            return None
    else:
        thickness = first.slice_spacing_mm
        step = slice_normal(first.orientation) * (thickness if isfinite(thickness) else 1.0)
    row_mm, column_mm = first.pixel_spacing_mm
    affine = np.eye(4)
    affine[:3, 0] = np.asarray(first.orientation[:3]) * column_mm
    affine[:3, 1] = np.asarray(first.orientation[3:]) * row_mm
    affine[:3, 2], affine[:3, 3] = step, places[0]
    affine[:2] *= -1
    return affine
