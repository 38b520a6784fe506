"""NIfTI headers that contradict themselves: read where one thing is sure, refused where not."""

import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason
from raddiag_hf.imaging.source_grid import source_grid
from raddiag_hf.vocabulary import Plane

AXIAL = np.diag([-0.5, -0.5, 4.0, 1.0])
"""As DICOM stores an axial series: columns to the left, rows to the back."""
VOXELS = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
SHOWN = VOXELS.transpose(2, 1, 0)

DIM, DATATYPE, PIXDIM, OFFSET, UNITS, SFORM = 40, 70, 76, 108, 123, 280
"""Where a NIfTI-1 header has them."""


def written(
    path: Path,
    edit: Callable[[nibabel.Nifti1Header], object] = lambda header: None,
    patches: dict[int, bytes] | None = None,
    kind: type[nibabel.Nifti1Image] = nibabel.Nifti1Image,
    order: str = "<",
) -> Path:
    image = kind(VOXELS, AXIAL, kind.header_class(endianness=order))
    image.set_qform(AXIAL, 1)
    image.set_sform(AXIAL, 1)
    edit(image.header)
    nibabel.save(image, path)
    content = bytearray(path.read_bytes())
    for offset, data in (patches or {}).items():
        content[offset : offset + len(data)] = data
    path.write_bytes(content)
    return path


def without_sform(header: nibabel.Nifti1Header) -> None:
    header["sform_code"] = 0


def floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize(
    "sform", [np.zeros((4, 4)), np.diag([1.0, 1, 0, 1]), np.full((4, 4), np.nan)]
)
def test_a_useless_sform_gives_way_to_the_qform(
    tmp_path: Path, sform: np.ndarray, kind: type[nibabel.Nifti1Image]
) -> None:
    rows = sform[:3].astype("<f4" if kind is nibabel.Nifti1Image else "<f8")
    offset = SFORM if kind is nibabel.Nifti1Image else 400
    path = written(tmp_path / "a.nii", patches={offset: rows.tobytes()}, kind=kind)
    scan = read_scan(path)
    assert np.array_equal(scan.volume, SHOWN)
    assert scan.plane is Plane.AXIAL
    assert scan.provenance["decisions"] == [{"kind": "unusable_tags", "keywords": ["sform"]}]
    assert np.allclose(source_grid(scan).affine, AXIAL)


def test_useless_forms_leave_the_axes_as_stored(tmp_path: Path) -> None:
    quaternion = {256: floats(np.nan, 0, 0), SFORM: bytes(48)}
    scan = read_scan(written(tmp_path / "a.nii", patches=quaternion))
    assert np.array_equal(scan.volume, SHOWN)
    assert scan.provenance["decisions"] == [
        {"kind": "unusable_tags", "keywords": ["sform", "qform"]},
        {"kind": "axes_as_stored"},
    ]
    assert source_grid(scan).space_code == 0


def test_a_qform_without_handedness_is_read_as_the_standard_says_and_told(tmp_path: Path) -> None:
    scan = read_scan(written(tmp_path / "a.nii", without_sform, {PIXDIM: floats(0)}))
    assert scan.provenance["decisions"] == [{"kind": "unusable_tags", "keywords": ["qfac"]}]


def test_a_bad_qform_matters_only_without_sform(tmp_path: Path) -> None:
    too_long = {256: floats(0.9, 0.9, 0.9)}
    scan = read_scan(written(tmp_path / "a.nii", patches=too_long))
    assert np.array_equal(scan.volume, SHOWN)
    with pytest.raises(ScanReadError) as caught:
        read_scan(written(tmp_path / "b.nii", without_sform, too_long))
    assert caught.value.reason is ScanReadReason.CORRUPT


@pytest.mark.parametrize("sizes", [(0, 0, 0), (-0.5, -0.5, -4), (np.nan, 0.5, 4), (0.5, np.inf, 0)])
def test_voxel_sizes_come_from_the_sform_where_there_are_none(
    tmp_path: Path, sizes: tuple[float, ...]
) -> None:
    scan = read_scan(written(tmp_path / "a.nii", patches={PIXDIM + 4: floats(*sizes)}))
    assert np.array_equal(scan.volume, SHOWN)
    assert scan.spacing_mm == pytest.approx((4.0, 0.5, 0.5))


@pytest.mark.parametrize("edit", [lambda header: None, without_sform])
def test_voxels_of_metres_are_of_millimetres(
    tmp_path: Path, edit: Callable[[nibabel.Nifti1Header], None]
) -> None:
    scan = read_scan(written(tmp_path / "a.nii", edit, {UNITS: b"\1"}))
    assert scan.spacing_mm == pytest.approx((4.0, 0.5, 0.5))
    assert scan.provenance["decisions"] == [{"kind": "unusable_tags", "keywords": ["xyzt_units"]}]


@pytest.mark.parametrize(
    ("patches", "found"),
    [
        ({OFFSET: floats(0)}, "begin at byte 0, expected 352"),
        ({OFFSET: floats(348)}, "begin at byte 348"),
        ({OFFSET: floats(352.5)}, "begin at byte 352.5"),
        ({OFFSET: floats(-352)}, "begin at byte -352"),
        ({OFFSET: floats(np.nan)}, "begin at byte nan"),
        ({DIM: struct.pack("<h", 0)}, "number of dimensions"),
        ({DIM: struct.pack("<h", 9)}, "number of dimensions"),
        ({DIM: struct.pack("<h", -3)}, "number of dimensions"),
        ({DIM + 2: struct.pack("<h", -6)}, "negative size"),
        ({DIM: struct.pack("<5h", 4, 6, 5, 4, -1)}, "negative size"),
        ({DATATYPE: struct.pack("<h", 999)}, "datatype 999"),
    ],
)
def test_an_impossible_header_is_refused(
    tmp_path: Path, patches: dict[int, bytes], found: str
) -> None:
    with pytest.raises(ScanReadError, match=found) as caught:
        read_scan(written(tmp_path / "a.nii", patches=patches))
    assert caught.value.reason is ScanReadReason.CORRUPT


@pytest.mark.parametrize("order", ["<", ">"])
def test_data_within_the_header_of_nifti_2_are_refused(tmp_path: Path, order: str) -> None:
    path = written(tmp_path / "a.nii", kind=nibabel.Nifti2Image, order=order)
    assert np.array_equal(read_scan(path).volume, SHOWN)
    content = bytearray(path.read_bytes())
    content[168:176] = struct.pack(f"{order}q", 352)
    path.write_bytes(content)
    with pytest.raises(ScanReadError, match="begin at byte 352, expected 544") as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.CORRUPT
