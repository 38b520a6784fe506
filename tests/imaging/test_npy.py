"""NPY arrays, whose depth is the first axis or, as in the reference's layout, the last."""

from pathlib import Path

import numpy as np
import pytest

from raddiag_hf.imaging.read_settings import NpyDepth, ReadSettings
from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason


def saved(folder: Path, array: np.ndarray) -> Path:
    path = folder / "149462.npy"
    np.save(path, array)
    return path


def test_depth_moves_to_the_front(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    scan = read_scan(saved(tmp_path, array))
    assert np.array_equal(scan.volume, array.transpose(2, 0, 1))
    assert scan.volume.flags.c_contiguous
    assert not scan.is_picture
    assert scan.scan_id == "149462"


def test_two_dimensions_are_a_picture(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    scan = read_scan(saved(tmp_path, array))
    assert np.array_equal(scan.volume, array[None])
    assert scan.is_picture


def test_three_equal_channels_are_one_picture(tmp_path: Path) -> None:
    grey = np.arange(6.0).reshape(2, 3)
    scan = read_scan(saved(tmp_path, np.stack([grey] * 3, axis=-1)))
    assert np.array_equal(scan.volume, grey[None])
    assert scan.is_picture


def test_three_different_slices_are_a_volume(tmp_path: Path) -> None:
    scan = read_scan(saved(tmp_path, np.arange(18.0).reshape(2, 3, 3)))
    assert not scan.is_picture


@pytest.mark.parametrize(
    ("shape", "axis", "why"),
    [
        ((6, 80, 90), 0, "its length"),
        ((80, 90, 6), 2, "its length"),
        ((1, 80, 90), 0, "its length"),
        ((300, 64, 64), 0, "its length"),
        ((64, 64, 300), 2, "its length"),
        ((40, 64, 64), 0, "its length"),
        ((64, 64, 40), 2, "its length"),
        ((64, 30, 64), 2, "assumed"),
        ((64, 64, 64), 2, "assumed"),
        ((40, 50, 60), 2, "assumed"),
    ],
)
def test_the_depth_is_chosen_by_lengths_and_told(
    tmp_path: Path, shape: tuple[int, ...], axis: int, why: str
) -> None:
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    path = saved(tmp_path, array)
    scan = read_scan(path)
    assert np.array_equal(scan.volume, np.moveaxis(array, axis, 0))
    name = "last" if axis else "first"
    told = {"kind": "depth_axis", "axis": name, "why": why, "shape": list(shape)}
    assert scan.provenance["decisions"] == [told]


@pytest.mark.parametrize(("depth", "axis"), [("first", 0), ("last", 2)])
@pytest.mark.parametrize("shape", [(6, 80, 90), (80, 90, 6), (40, 50, 60)])
def test_the_caller_may_say_which_axis_is_the_depth(
    tmp_path: Path, shape: tuple[int, ...], depth: NpyDepth, axis: int
) -> None:
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    scan = read_scan(saved(tmp_path, array), settings=ReadSettings(npy_depth=depth))
    assert np.array_equal(scan.volume, np.moveaxis(array, axis, 0))
    told = {"kind": "depth_axis", "axis": depth, "why": "asked for", "shape": list(shape)}
    assert scan.provenance["decisions"] == [told]


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">i2", "uint64", "float16", "float64"])
def test_any_real_dtype_and_byte_order_is_read(tmp_path: Path, dtype: str) -> None:
    array = np.asfortranarray(np.eye(4).astype(dtype))
    assert np.array_equal(read_scan(saved(tmp_path, array)).volume[0], np.eye(4))


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros(5), ScanReadReason.UNSUPPORTED),
        (np.zeros((2, 2, 2, 2)), ScanReadReason.UNSUPPORTED),
        (np.zeros((2, 2), dtype=complex), ScanReadReason.UNSUPPORTED),
        (np.asarray([["a", "b"]]), ScanReadReason.UNSUPPORTED),
        (np.zeros((0, 4)), ScanReadReason.EMPTY),
        (np.full((4, 4), np.nan), ScanReadReason.BAD_VALUES),
        (np.asarray([[1.0, np.inf]]), ScanReadReason.BAD_VALUES),
        (np.full((4, 4), 1e300), ScanReadReason.BAD_VALUES),
    ],
)
def test_what_is_no_scan_is_refused(
    tmp_path: Path, array: np.ndarray, reason: ScanReadReason
) -> None:
    with pytest.raises(ScanReadError) as caught:
        read_scan(saved(tmp_path, array))
    assert caught.value.reason is reason


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.asarray([[{"a": 1}]]), allow_pickle=True)
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


def test_nan_around_the_image_becomes_its_least_value(tmp_path: Path) -> None:
    array = np.arange(25.0).reshape(5, 5)
    array[0], array[:, 0] = np.nan, np.nan
    scan = read_scan(saved(tmp_path, array))
    assert np.array_equal(scan.volume[0], np.where(np.isnan(array), 6, array))
    assert scan.provenance["decisions"] == [{"kind": "nan_padding_filled", "num_voxels": 9}]


def test_nan_within_the_image_is_refused(tmp_path: Path) -> None:
    array = np.arange(25.0).reshape(5, 5)
    array[2, 2] = np.nan
    with pytest.raises(ScanReadError, match="1 NaN within the image") as caught:
        read_scan(saved(tmp_path, array))
    assert caught.value.reason is ScanReadReason.BAD_VALUES


def test_a_header_that_promises_more_than_the_file_is_corrupt(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((100, 100)))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ScanReadError, match="truncated") as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.CORRUPT


@pytest.mark.parametrize("shape", [(99_999, 9), (9_999, 9_999, 99)])
def test_a_header_that_promises_too_much_is_refused_unread(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "huge.npy"
    with path.open("wb") as stream:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.TOO_LARGE


def test_limits_are_the_callers(tmp_path: Path) -> None:
    path = saved(tmp_path, np.zeros((30, 30, 9)))
    with pytest.raises(ScanReadError, match="9 slices, at most 8") as caught:
        read_scan(path, limits=ReadLimits(max_frames=8))
    assert caught.value.reason is ScanReadReason.TOO_LARGE
