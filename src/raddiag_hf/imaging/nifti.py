"""NIfTI-1 and NIfTI-2 files, brought to the axis order and the orientation of DICOM images."""

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import nan
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    io_orientation,
    ornt_transform,
)
from numpy.typing import NDArray

from raddiag_hf.imaging.dicom.geometry import plane_of_normal
from raddiag_hf.imaging.intensity import finite_scan, to_grey
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ReadLimits,
    Scan,
    ScanReadError,
    ScanReadReason,
    decision,
)
from raddiag_hf.vocabulary import Plane

_MAX_HEADER_BYTES = 64 * 2**20
"""Header extensions beyond this are no header: they would be inflated for nothing."""
_TRAILING_BYTES = 2**20
"""Some writers pad; a gzip with more than this is a bomb or another file."""
_MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
_LARGEST_VOXEL_MM = 100.0
"""Larger ones are millimetres that were called metres."""


def read_nifti(path: Path, limits: ReadLimits) -> Scan:
    """Read one volume, turned so that it looks as the DICOM series of the same slices would.

    The slice axis is the one whose voxel size differs from the two equal others; failing that (all
    equal, or all different) the last one, unless another is less than half as long as both others.
    Slices are then shown as radiologists see them, patient's right on the left: axial from foot to
    head with rows from front to back, coronal from front to back and sagittal from left to right,
    both with rows from head to foot. Any affine is brought there by swapping and flipping axes;
    nothing is interpolated.

    Raises:
        ScanReadError: ``UNSUPPORTED`` for several volumes (4D) and complex numbers, ``CORRUPT`` for
            broken or truncated files, an impossible header (no dimensions, data that begin within
            it) and a gzip that holds more than its header says,
            ``TOO_LARGE`` beyond the limits, ``BAD_VALUES`` for infinity and for NaN within the
            image (NaN around it becomes the least value).
    """
    header = read_nifti_header(path)
    shape = tuple(int(size) for size in header.get_data_shape())
    dtype = _dtype(path, header)
    volume_shape = _one_volume(path, shape)
    width, height, depth = volume_shape
    limits.check(path, depth, height, width)
    num_bytes = (
        _data_offset(path, header) + int(np.prod(volume_shape, dtype=np.int64)) * dtype.itemsize
    )
    with _opened(path, num_bytes) as image:
        voxels = _grey_voxels(image).reshape(volume_shape)
    grid = nifti_grid(header)
    volume, spacing_mm, plane, decisions = _as_displayed(voxels, grid)
    return finite_scan(
        path,
        "nifti",
        volume,
        decisions=(*grid.decisions, *decisions),
        plane=plane,
        spacing_mm=spacing_mm,
        is_picture=len(volume) == 1,
    )


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def read_nifti_header(path: Path) -> nibabel.Nifti1Header:
    """Parse the fixed part of the header alone, so that limits hold before more is read.

    Raises:
        ScanReadError: ``CORRUPT`` if it does not say how many dimensions there are.
    """
    opener = gzip.open if _is_gzip(path) else open
    with opener(path, "rb") as stream:
        head = stream.read(540)
    header = _image_class(head).header_class.from_fileobj(BytesIO(head), check=False)
    if not 1 <= int(header["dim"][0]) <= 7:
        found = "a header whose number of dimensions is not 1 to 7"
        raise ScanReadError(path, ScanReadReason.CORRUPT, found)
    return header


def _data_offset(path: Path, header: nibabel.Nifti1Header) -> int:
    """Return where voxels begin: behind the header, in whole bytes."""
    offset, least = float(header["vox_offset"]), header.single_vox_offset
    if not offset.is_integer() or not least <= offset <= _MAX_HEADER_BYTES:
        found = f"voxels that begin at byte {offset:g}, expected {least} or a little more"
        raise ScanReadError(path, ScanReadReason.CORRUPT, found)
    return int(offset)


def _one_volume(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if not shape:
        raise ScanReadError(path, ScanReadReason.EMPTY, "an image without dimensions")
    if min(shape) < 0:
        raise ScanReadError(path, ScanReadReason.CORRUPT, f"a negative size: {shape}")
    num_volumes = int(np.prod(shape[3:], dtype=np.int64))
    if num_volumes != 1:
        raise ScanReadError(
            path,
            ScanReadReason.UNSUPPORTED,
            f"{num_volumes} volumes (shape {shape}), expected one; split the file first",
        )
    first, second, third = (*shape[:3], 1, 1)[:3]
    return first, second, third


def _dtype(path: Path, header: nibabel.Nifti1Header) -> np.dtype[np.generic]:
    try:
        dtype = header.get_data_dtype()
    except KeyError:
        found = f"voxels of datatype {int(header['datatype'])}, which NIfTI does not have"
        raise ScanReadError(path, ScanReadReason.CORRUPT, found) from None
    is_colour = dtype.names is not None and {"R", "G", "B"} <= set(dtype.names)
    if dtype.kind not in "iuf" and not is_colour:
        raise ScanReadError(
            path, ScanReadReason.UNSUPPORTED, f"voxels of {dtype}, expected real numbers or RGB"
        )
    return np.dtype(dtype)


@contextmanager
def _opened(path: Path, num_bytes: int) -> Iterator[nibabel.Nifti1Image]:
    """Open the image; of a gzip no more is inflated than the header promises."""
    with path.open("rb") as stream:
        if not _is_gzip(path):
            found = path.stat().st_size
            if found < num_bytes:
                raise _truncated(path, found, num_bytes)
            yield _image_class(stream.read(8)).from_stream(_rewound(stream))
            return
        with gzip.open(stream, "rb") as inflated:
            content = inflated.read(num_bytes)
            # Reading on to the end is also what makes gzip compare its checksum.
            num_trailing = len(inflated.read(_TRAILING_BYTES + 1))
    if len(content) < num_bytes:
        raise _truncated(path, len(content), num_bytes)
    if num_trailing > _TRAILING_BYTES:
        raise ScanReadError(
            path, ScanReadReason.CORRUPT, f"inflates beyond the {num_bytes} bytes of its header"
        )
    yield _image_class(content).from_stream(BytesIO(content))


def _truncated(path: Path, found: int, expected: int) -> ScanReadError:
    return ScanReadError(path, ScanReadReason.CORRUPT, f"{found} bytes of {expected}: truncated")


def _rewound(stream: BinaryIO) -> BinaryIO:
    stream.seek(0)
    return stream


def _image_class(head: bytes) -> type[nibabel.Nifti1Image]:
    return nibabel.Nifti2Image if head[4:7] == b"n+2" else nibabel.Nifti1Image


def _grey_voxels(image: nibabel.Nifti1Image) -> NDArray[np.float32]:
    if image.get_data_dtype().names is not None:
        colour = np.asanyarray(image.dataobj)
        return to_grey(np.stack([colour[name] for name in "RGB"], axis=-1))
    with np.errstate(over="ignore", invalid="ignore"):
        return image.get_fdata(dtype=np.float32, caching="unchanged")


@dataclass(frozen=True, eq=False)
class NiftiGrid:
    """Where voxels lie, as far as the header can be used.

    Attributes:
        affine: Voxel to world, of rank 3; None where neither sform nor qform gives one.
        space_code: What the affine leads to, as the form that gave it says; 0 without one.
        sizes_mm: Voxel size along each of the three axes; NaN where unknown.
        decisions: What could not be used.
    """

    affine: NDArray[np.float64] | None
    space_code: int
    sizes_mm: list[float]
    decisions: tuple[Decision, ...]


def nifti_grid(header: nibabel.Nifti1Header) -> NiftiGrid:
    """Return the affine of the sform, or of the qform where the sform cannot be used, and sizes.

    Raises:
        ValueError: If only the qform is left and its quaternion is longer than 1.
    """
    zooms = np.abs(header["pixdim"][1:4].astype(np.float64))
    is_known = np.isfinite(zooms) & (zooms > 0)
    turned = header.copy()
    turned["pixdim"][1:4] = np.where(is_known, zooms, 1)  # a qform says directions without them
    has_handedness = abs(float(header["pixdim"][0])) == 1
    if not has_handedness:
        turned["pixdim"][0] = 1  # as the standard says
    unusable = []
    affine, space_code = None, 0
    for form, read in (("sform", turned.get_sform), ("qform", turned.get_qform)):
        code = int(header[f"{form}_code"])
        if affine is not None or code <= 0:
            continue
        found = np.asarray(read(), dtype=np.float64)
        if np.isfinite(found).all() and np.linalg.matrix_rank(found[:3, :3]) == 3:
            affine, space_code = found, code
            if form == "sform":
                zooms = np.where(is_known, zooms, np.linalg.norm(found[:3, :3], axis=0))
                is_known[:] = True
            elif not has_handedness:
                unusable.append("qfac")
        else:
            unusable.append(form)
    sizes = np.where(is_known & (np.arange(3) < len(header.get_data_shape())), zooms, nan).tolist()
    scale = _MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
    if scale > 1 and any(size * scale > _LARGEST_VOXEL_MM for size in sizes):
        unusable, scale = [*unusable, "xyzt_units"], 1.0
    decisions = (decision(DecisionKind.UNUSABLE_TAGS, keywords=unusable),) if unusable else ()
    return NiftiGrid(affine, space_code, [size * scale for size in sizes], decisions)


def _as_displayed(
    voxels: NDArray[np.float32], grid: NiftiGrid
) -> tuple[NDArray[np.float32], tuple[float, float, float], Plane, tuple[Decision, ...]]:
    """Return the volume as (depth, height, width) with spacing, plane and decisions."""
    affine, sizes = grid.affine, grid.sizes_mm
    axis = slice_axis(voxels.shape, sizes)
    if affine is None:
        # NIfTI runs fastest along a row of the image, then along its columns.
        order = [axis, *(other for other in (2, 1, 0) if other != axis)]
        volume = np.ascontiguousarray(voxels.transpose(order))
        decisions = (decision(DecisionKind.AXES_AS_STORED),)
        return volume, _spacing(sizes, order), Plane.UNKNOWN, decisions
    stored = io_orientation(affine)
    wanted = axcodes2ornt(DISPLAY_AXES[int(stored[axis, 0])])
    transform = ornt_transform(stored, wanted)
    volume = np.ascontiguousarray(apply_orientation(voxels, transform))
    order = [int(np.flatnonzero(transform[:, 0] == target)[0]) for target in range(3)]
    return volume, _spacing(sizes, order), plane_of_affine(affine, axis), ()


def _spacing(sizes: list[float], order: list[int]) -> tuple[float, float, float]:
    depth, height, width = (sizes[axis] for axis in order)
    return depth, height, width


DISPLAY_AXES = {0: ("R", "I", "P"), 1: ("P", "I", "L"), 2: ("S", "P", "L")}
"""World axis of the slices (right-left, back-front, foot-head) -> where depth, rows, columns go."""

_SIZE_TOLERANCE = 0.02
"""Voxel sizes within 2 % are one size: matrices are rarely exact."""


def slice_axis(shape: Sequence[int], sizes: Sequence[float]) -> int:
    """Return the axis along which slices were acquired, as far as a volume tells.

    In-plane pixels are square and slices are not: the odd one out of the three voxel sizes. Where
    that decides nothing, files keep slices last; only an axis less than half as long as both
    others says otherwise (thin slabs that some tool has turned to canonical axes).

    Args:
        shape: Voxels along each of the three axes.
        sizes: Voxel size along each; NaN where unknown.
    """
    odd = [
        axis
        for axis in range(3)
        if _same_size(*_others(sizes, axis))
        and not any(_same_size(sizes[axis], other) for other in _others(sizes, axis))
    ]
    if len(odd) == 1:
        return odd[0]
    shortest = int(np.argmin(shape))
    if 2 * shape[shortest] < min(_others(shape, shortest)):
        return shortest
    return 2


def plane_of_affine(affine: NDArray[np.float64], axis: int) -> Plane:
    """Return the plane of the slices stacked along ``axis`` (NIfTI world axes: right, front, up).

    Args:
        affine: Voxel to world, of rank 3.
        axis: The slice axis.
    """
    first, second = (affine[:3, other] for other in range(3) if other != axis)
    normal = np.cross(first, second)
    return plane_of_normal(normal / np.linalg.norm(normal))


def _others(values: Sequence[float], axis: int) -> tuple[float, float]:
    first, second = (values[other] for other in range(3) if other != axis)
    return first, second


def _same_size(first: float, second: float) -> bool:
    return abs(first - second) <= _SIZE_TOLERANCE * max(first, second)
