"""PNG, JPEG, TIFF and BMP pictures."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import ReadLimits, Scan, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Anatomy, Modality

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)


def kinds(scan: Scan) -> list[object]:
    return [each["kind"] for each in scan.provenance["decisions"]]


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_grey_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    scan = read_scan(save(Image.fromarray(GREY), tmp_path / f"film{suffix}"))
    assert np.array_equal(scan.volume, GREY[None])
    assert scan.volume.dtype == np.float32
    assert scan.is_picture
    assert (scan.modality, scan.anatomy, scan.scan_id) == (None, Anatomy.UNKNOWN, "film")
    assert np.isnan(scan.spacing_mm).all()


def test_the_caller_names_modality_and_anatomy(tmp_path: Path) -> None:
    path = save(Image.fromarray(GREY), tmp_path / "film.png")
    scan = read_scan(path, modality=Modality.XRAY, anatomy=Anatomy.CHEST)
    assert (scan.modality, scan.anatomy) == (Modality.XRAY, Anatomy.CHEST)
    assert scan.provenance["decisions"] == []


def test_16_bits_keep_their_range(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16) * 257
    path = save(Image.fromarray(deep), tmp_path / "deep.png")
    assert np.array_equal(read_scan(path).volume[0], deep)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "CMYK"])
def test_every_mode_of_a_grey_picture_gives_its_greys(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(GREY)
    image = grey.convert("P") if mode == "P" else grey.convert("RGB").convert(mode)
    path = save(image, tmp_path / ("film.tif" if mode == "CMYK" else "film.png"))
    scan = read_scan(path)
    assert np.array_equal(scan.volume[0], GREY)
    assert scan.provenance["decisions"] == []


def test_one_bit_becomes_zero_and_one(tmp_path: Path) -> None:
    path = save(Image.fromarray(GREY > 100), tmp_path / "mask.png")
    assert np.array_equal(read_scan(path).volume[0], GREY > 100)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 3), dtype=np.uint8)
    colours[..., 1] = 100
    scan = read_scan(save(Image.fromarray(colours), tmp_path / "green.png"))
    assert np.allclose(scan.volume, 58.7)
    assert kinds(scan) == ["colour_to_grey"]


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    pixels = np.stack([GREY, GREY, GREY, np.where(GREY < 100, 0, 255)], axis=-1).astype(np.uint8)
    scan = read_scan(save(Image.fromarray(pixels), tmp_path / "cut.png"))
    assert np.array_equal(scan.volume[0], np.where(GREY < 100, 0, GREY))
    assert kinds(scan) == ["alpha_over_black"]


def test_exif_orientation_is_obeyed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(GREY), tmp_path / "photo.png", exif=exif)
    scan = read_scan(path)
    assert np.array_equal(scan.volume[0], np.rot90(GREY, -1))
    assert kinds(scan) == ["exif_rotated"]


def test_the_pages_of_a_tiff_are_slices(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY + number) for number in range(3)]
    path = save(pages[0], tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    scan = read_scan(path)
    assert np.array_equal(scan.volume, np.stack([GREY + number for number in range(3)]))
    assert not scan.is_picture


def test_pages_of_unequal_size_are_refused(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY[:5])]
    path = save(pages[0], tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ScanReadError, match="2 sizes") as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.INCONSISTENT_SERIES


def test_an_animation_is_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY + number) for number in range(3)]
    path = save(frames[0], tmp_path / "loop.png", save_all=True, append_images=frames[1:])
    with pytest.raises(ScanReadError, match="animation of 3 frames") as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


def test_pictures_of_a_folder_are_scans_of_their_own_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        save(Image.fromarray(GREY[:number]), tmp_path / f"view{number}.png")
    scans = read_scans(tmp_path).scans
    assert [scan.scan_id for scan in scans] == ["view1", "view9", "view10"]
    assert [scan.volume.shape[1] for scan in scans] == [1, 9, 10]


def test_pictures_of_one_folder_can_be_read_as_slices(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        save(Image.fromarray(GREY + number), tmp_path / "ct" / f"slice{number}.png")
    scan = read_scan(tmp_path / "ct")
    assert np.array_equal(scan.volume, np.stack([GREY + number for number in (1, 9, 10)]))
    assert scan.scan_id == "ct"
    (stacked,) = read_scans(tmp_path, stack_pictures=True).scans
    assert np.array_equal(stacked.volume, scan.volume)


def test_slices_of_unequal_size_are_refused(tmp_path: Path) -> None:
    save(Image.fromarray(GREY), tmp_path / "a.png")
    save(Image.fromarray(GREY[:4]), tmp_path / "b.png")
    with pytest.raises(ScanReadError) as caught:
        read_scan(tmp_path)
    assert caught.value.reason is ScanReadReason.INCONSISTENT_SERIES


def test_equal_names_in_two_folders_give_different_ids(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save(Image.fromarray(GREY), tmp_path / folder / "film.png")
    assert [scan.scan_id for scan in read_scans(tmp_path).scans] == ["film", "film-2"]


def test_a_picture_of_one_pixel_is_a_scan(tmp_path: Path) -> None:
    path = save(Image.fromarray(GREY[:1, :1]), tmp_path / "dot.png")
    assert read_scan(path).volume.shape == (1, 1, 1)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_truncated_picture_is_corrupt(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"film{suffix}")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.CORRUPT


@pytest.mark.parametrize("side", [20_000, 2**31 - 1])
def test_a_png_that_claims_to_be_huge_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))))
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.TOO_LARGE


def test_limits_are_the_callers(tmp_path: Path) -> None:
    path = save(Image.fromarray(GREY), tmp_path / "film.png")
    with pytest.raises(ScanReadError, match="20 pixels along a side, at most 16") as caught:
        read_scan(path, limits=ReadLimits(max_side=16))
    assert caught.value.reason is ScanReadReason.TOO_LARGE


@pytest.mark.parametrize(("dtype", "white"), [("uint8", None), ("uint16", 65_535), ("float32", 0)])
@pytest.mark.parametrize("num_pages", [1, 3])
def test_low_values_of_a_tiff_may_mean_white(
    tmp_path: Path, num_pages: int, dtype: str, white: float | None
) -> None:
    """Pillow writes and reads 8 bits turned round, and leaves other numbers as they are."""
    pages = np.arange(num_pages * 12, dtype=dtype).reshape(num_pages, 3, 4)
    first, *others = (Image.fromarray(page) for page in pages)
    tags = {"save_all": True, "append_images": others, "tiffinfo": {262: 0}}
    scan = read_scan(save(first, tmp_path / "film.tif", **tags))
    grey = pages.astype(np.float32)
    assert np.array_equal(scan.volume, grey if white is None else white - grey)
    assert kinds(scan) == ["monochrome1_inverted"]
