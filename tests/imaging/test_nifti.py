"""NIfTI: any orientation in, the axis order and the view of DICOM out."""

import gzip
import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    io_orientation,
    ornt_transform,
)

from raddiag_hf.imaging.nifti import slice_axis
from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Plane

AXIAL_LPS = np.diag([-0.5, -0.5, 4.0, 1.0])
"""The affine of an axial series as DICOM stores it: columns to the left, rows to the back."""


def axial_volume() -> np.ndarray:
    """Voxels in file order (column, row, slice), all different."""
    return np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)


def saved(path: Path, voxels: np.ndarray, affine: np.ndarray = AXIAL_LPS) -> Path:
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_an_axial_series_looks_as_its_dicom_slices(tmp_path: Path, suffix: str) -> None:
    scan = read_scan(saved(tmp_path / f"ct{suffix}", axial_volume()))
    assert np.array_equal(scan.volume, axial_volume().transpose(2, 1, 0))
    assert scan.volume.dtype == np.float32
    assert scan.spacing_mm == (4.0, 0.5, 0.5)
    assert scan.plane is Plane.AXIAL
    assert scan.modality is None
    assert scan.scan_id == "ct"


@pytest.mark.parametrize("axcodes", list(itertools.product("LR", "AP", "IS")))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_axis_order_and_direction_gives_the_same_scan(
    tmp_path: Path, axcodes: tuple[str, ...], order: tuple[int, ...]
) -> None:
    wanted = axcodes2ornt([axcodes[axis] for axis in order])
    transform = ornt_transform(io_orientation(AXIAL_LPS), wanted)
    voxels = apply_orientation(axial_volume(), transform)
    affine = AXIAL_LPS @ inv_ornt_aff(transform, axial_volume().shape)

    scan = read_scan(saved(tmp_path / "turned.nii", voxels, affine))

    assert np.array_equal(scan.volume, axial_volume().transpose(2, 1, 0))
    assert scan.spacing_mm == (4.0, 0.5, 0.5)
    assert scan.plane is Plane.AXIAL


@pytest.mark.parametrize(
    ("affine", "plane"),
    [
        # Columns to the back, rows to the feet, slices to the right: a sagittal DICOM series.
        ([[0, 0, 4, 0], [-0.5, 0, 0, 0], [0, -0.5, 0, 0], [0, 0, 0, 1]], Plane.SAGITTAL),
        # Columns to the left, rows to the feet, slices to the back: a coronal one.
        ([[-0.5, 0, 0, 0], [0, 0, -4, 0], [0, -0.5, 0, 0], [0, 0, 0, 1]], Plane.CORONAL),
    ],
)
def test_other_planes_look_as_their_dicom_slices(
    tmp_path: Path, affine: list[list[float]], plane: Plane
) -> None:
    scan = read_scan(saved(tmp_path / "mr.nii", axial_volume(), np.asarray(affine)))
    assert np.array_equal(scan.volume, axial_volume().transpose(2, 1, 0))
    assert scan.plane is plane


def test_an_oblique_volume_is_not_interpolated(tmp_path: Path) -> None:
    angle = np.radians(45)
    turn = np.asarray(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ AXIAL_LPS[:3, :3]
    scan = read_scan(saved(tmp_path / "mr.nii", axial_volume(), affine))
    assert scan.plane is Plane.OBLIQUE
    assert sorted(scan.volume.ravel()) == sorted(axial_volume().ravel())


@pytest.mark.parametrize(
    ("shape", "sizes", "axis"),
    [
        ((256, 256, 24), (0.9, 0.9, 5.0), 2),
        ((24, 256, 256), (5.0, 0.9, 0.9), 0),
        ((512, 512, 700), (0.7, 0.7, 0.5), 2),  # thin slices: the least size, not the largest
        ((240, 240, 155), (1.0, 1.0, 1.0), 2),
        ((4, 256, 256), (1.0, 1.0, 1.0), 0),  # a thin slab
        ((176, 256, 256), (1.0, 1.0, 1.0), 2),
        ((64, 28, 4), (6.4, 4.0, 0.5), 2),
        ((112, 138, 8), (1.59, 1.61, 5.0), 2),
        ((10, 10, 10), (np.nan, np.nan, np.nan), 2),
    ],
)
def test_the_slice_axis_is_the_odd_one_out(
    shape: tuple[int, ...], sizes: tuple[float, ...], axis: int
) -> None:
    assert slice_axis(shape, sizes) == axis


def test_without_orientation_axes_stay_as_stored(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(axial_volume(), None)
    image.header.set_zooms((0.5, 0.5, 4.0))
    nibabel.save(image, tmp_path / "plain.nii")
    scan = read_scan(tmp_path / "plain.nii")
    assert np.array_equal(scan.volume, axial_volume().transpose(2, 1, 0))
    assert scan.plane is Plane.UNKNOWN
    assert scan.spacing_mm == (4.0, 0.5, 0.5)
    assert scan.provenance["decisions"] == [{"kind": "axes_as_stored"}]


def test_scaling_and_units_are_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(axial_volume(), np.diag([-5e-4, -5e-4, 4e-3, 1]))
    image.header.set_xyzt_units("meter")
    image.header.set_slope_inter(2, -1024)
    nibabel.save(image, tmp_path / "ct.nii")
    stored = nibabel.load(tmp_path / "ct.nii").get_fdata()
    scan = read_scan(tmp_path / "ct.nii")
    assert np.allclose(scan.volume, stored.transpose(2, 1, 0))
    assert scan.spacing_mm == pytest.approx((4.0, 0.5, 0.5))


def test_nifti_2_and_files_without_suffix_are_read(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(axial_volume(), AXIAL_LPS), tmp_path / "two.nii")
    (tmp_path / "two.nii").rename(tmp_path / "two")
    assert read_scan(tmp_path / "two").volume.shape == (4, 5, 6)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    voxels = np.zeros((3, 3, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    voxels["R"] = 100
    scan = read_scan(saved(tmp_path / "rgb.nii", voxels))
    assert np.allclose(scan.volume, 29.9)


def test_one_volume_in_four_dimensions_is_read(tmp_path: Path) -> None:
    scan = read_scan(saved(tmp_path / "mr.nii", axial_volume()[..., None]))
    assert scan.volume.shape == (4, 5, 6)


def test_a_single_slice_is_a_picture(tmp_path: Path) -> None:
    scan = read_scan(saved(tmp_path / "mr.nii", axial_volume()[..., :1]))
    assert scan.volume.shape == (1, 5, 6)
    assert scan.is_picture


def test_several_volumes_are_refused_with_their_number(tmp_path: Path) -> None:
    voxels = np.zeros((4, 4, 4, 30), dtype=np.int16)
    with pytest.raises(ScanReadError, match="30 volumes") as caught:
        read_scan(saved(tmp_path / "fmri.nii.gz", voxels))
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


def test_complex_voxels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScanReadError) as caught:
        read_scan(saved(tmp_path / "k.nii", np.zeros((4, 4, 4), dtype=np.complex64)))
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


def test_nan_padding_is_filled_per_slice_and_said(tmp_path: Path) -> None:
    voxels = axial_volume().astype(np.float32) + 1
    voxels[0] = np.nan
    scan = read_scan(saved(tmp_path / "mr.nii", voxels))
    assert np.isfinite(scan.volume).all()
    assert (scan.volume[:, :, 0] == np.nanmin(voxels)).all()
    assert scan.provenance["decisions"] == [{"kind": "nan_padding_filled", "num_voxels": 20}]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_holes_in_the_image_are_refused(tmp_path: Path, value: float) -> None:
    voxels = axial_volume().astype(np.float32)
    voxels[3, 2, 1] = value
    with pytest.raises(ScanReadError) as caught:
        read_scan(saved(tmp_path / "mr.nii", voxels))
    assert caught.value.reason is ScanReadReason.BAD_VALUES


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_truncated_file_is_corrupt(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"mr{suffix}", axial_volume())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_a_flipped_bit_in_a_gzip_is_noticed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 9999, (16, 16, 16)).astype(np.int16)
    path = saved(tmp_path / "mr.nii.gz", noise)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # within the checksum
    path.write_bytes(content)
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_a_gzip_that_inflates_beyond_its_header_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.nii", axial_volume())
    bomb = tmp_path / "bomb.nii.gz"
    bomb.write_bytes(gzip.compress(path.read_bytes() + bytes(2**22)))
    with pytest.raises(ScanReadError, match="inflates beyond") as caught:
        read_scan(bomb)
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_a_header_that_claims_too_much_is_refused_unread(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((10_000, 10_000, 4_000))
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4)))
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.TOO_LARGE


def test_limits_are_the_callers(tmp_path: Path) -> None:
    path = saved(tmp_path / "mr.nii", axial_volume())
    with pytest.raises(ScanReadError, match="480 bytes once decoded, at most 479"):
        read_scan(path, limits=ReadLimits(max_decoded_bytes=479))
