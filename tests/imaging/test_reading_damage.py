"""Damage and malice: whatever the bytes, ScanReadError and nothing else, and no memory taken."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames

from raddiag_hf.imaging.dicom.compression import Codestream, read_codestream
from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason
from tests.fixtures.dicom_files import dicom_dataset, write_dicom
from tests.fuzz.kinds import SLICE, WRITERS, dicom_file
from tests.fuzz.mutations import mutate


@pytest.mark.parametrize("kind", WRITERS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32 - 1))
def test_corrupted_bytes_give_a_scan_or_a_scan_read_error(
    tmp_path: Path, kind: str, seed: int
) -> None:
    original = WRITERS[kind](tmp_path / "original").read_bytes()
    (tmp_path / "damaged").write_bytes(mutate(original, original, seed))
    try:
        scans = read_scans(tmp_path / "damaged", limits=ReadLimits(max_decoded_bytes=2**24)).scans
    except ScanReadError:
        return
    assert all(np.isfinite(scan.volume).all() for scan in scans)


@pytest.mark.parametrize("kind", ["dicom", "enhanced"])
@pytest.mark.parametrize("num_bytes", [1, 100, 131, 132, 140, 300, 500, 700])
def test_a_partial_download_gives_a_scan_read_error(
    tmp_path: Path, kind: str, num_bytes: int
) -> None:
    content = WRITERS[kind](tmp_path / "original").read_bytes()
    path = tmp_path / ".azDownload-0f3b-ct.dcm"
    path.write_bytes(content[:num_bytes])
    with pytest.raises(ScanReadError):
        read_scan(path)


@pytest.mark.parametrize("num_bytes", [300, 330, 350, 400, 500])
def test_an_image_cut_short_is_damaged_rather_than_a_report(tmp_path: Path, num_bytes: int) -> None:
    content = dicom_file(tmp_path / "whole.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(content[:num_bytes])
    with pytest.raises(ScanReadError) as caught:
        read_scan(tmp_path / "cut.dcm")
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_files_without_preamble_and_meta_header_are_read(tmp_path: Path) -> None:
    expected = read_scan(dicom_file(tmp_path / "whole.dcm"))
    dataset = dcmread(tmp_path / "whole.dcm")
    for is_implicit in (True, False):
        bare = Dataset()
        bare.update(dataset)
        path = tmp_path / f"bare-{is_implicit}.dicom"
        bare.save_as(path, implicit_vr=is_implicit, little_endian=True)
        scan = read_scan(path)
        assert np.array_equal(scan.volume, expected.volume)
        assert scan.provenance["decisions"] == [{"kind": "transfer_syntax_guessed"}]


def test_a_file_that_does_not_name_its_transfer_syntax_is_read(tmp_path: Path) -> None:
    dataset = dicom_dataset(SLICE)
    dataset.save_as(tmp_path / "whole.dcm", enforce_file_format=True)
    content = (tmp_path / "whole.dcm").read_bytes()
    element = struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", 20) + b"1.2.840.10008.1.2.1\0"
    assert element in content
    (tmp_path / "unnamed.dcm").write_bytes(content.replace(element, b""))
    scan = read_scan(tmp_path / "unnamed.dcm")
    assert np.array_equal(scan.volume[0], SLICE)
    assert scan.provenance["decisions"] == [{"kind": "transfer_syntax_guessed"}]


def nested(depth: int) -> bytes:
    """Bytes of sequences of undefined length within one another, explicit little endian."""
    opening = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return opening * depth + closing * depth


def at_stack_depth(depth: int, call: Callable[[], object]) -> object:
    return call() if depth == 0 else at_stack_depth(depth - 1, call)


@pytest.mark.parametrize("stack_depth", range(8))
def test_deeply_nested_sequences_are_refused(tmp_path: Path, stack_depth: int) -> None:
    content = dicom_file(tmp_path / "plain.dcm").read_bytes()
    pixels = content.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    (tmp_path / "deep.dcm").write_bytes(content[:pixels] + nested(3000) + content[pixels:])
    with pytest.raises(ScanReadError, match="nested too deeply") as caught:
        at_stack_depth(stack_depth, lambda: read_scan(tmp_path / "deep.dcm"))
    assert caught.value.reason is ScanReadReason.CORRUPT


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 65_000, "Columns": 65_000},
        {"NumberOfFrames": 2_000_000_000},
        {"Rows": 10_000, "Columns": 10_000, "NumberOfFrames": 4_000},
    ],
)
def test_a_header_that_claims_too_much_takes_no_memory(
    tmp_path: Path, tags: dict[str, int]
) -> None:
    path = write_dicom(tmp_path / "huge.dcm", SLICE, **tags)
    tracemalloc.start()
    with pytest.raises(ScanReadError) as caught:
        read_scan(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason is ScanReadReason.TOO_LARGE
    assert peak < 2**24


def test_a_length_beyond_the_file_takes_no_memory(tmp_path: Path) -> None:
    content = bytearray(dicom_file(tmp_path / "plain.dcm").read_bytes())
    pixels = content.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    content[pixels + 8 : pixels + 12] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "long.dcm").write_bytes(content)
    tracemalloc.start()
    # All pixels are there, so the image can be read whatever its declared length.
    assert np.array_equal(read_scan(tmp_path / "long.dcm").volume[0], SLICE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


def test_a_codestream_larger_than_its_header_is_refused_undecoded(tmp_path: Path) -> None:
    big = dicom_dataset(np.zeros((512, 512), dtype=np.uint16))
    big.compress(uid.JPEG2000Lossless)
    big.Rows = big.Columns = 8
    big.save_as(tmp_path / "bomb.dcm")
    with pytest.raises(ScanReadError, match="a codestream of 512x512") as caught:
        read_scan(tmp_path / "bomb.dcm")
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_size_and_precision_of_a_codestream_are_read_from_its_header() -> None:
    pixels = np.zeros((120, 90), dtype=np.uint8)
    for codestream in (
        imagecodecs.jpeg8_encode(pixels),
        imagecodecs.jpeg8_encode(pixels, lossless=True),
        imagecodecs.jpegls_encode(pixels),
        imagecodecs.jpeg2k_encode(pixels, codecformat="j2k"),
        imagecodecs.jpeg2k_encode(pixels, codecformat="jp2"),
    ):
        claims = read_codestream(codestream)
        assert claims == Codestream(rows=120, columns=90, precision=8)
    for other in (b"", b"\xff\xd8", b"\xff\xd8\xff\xc4\0\0", b"\xff\x4f\xff\x51", b"RLE"):
        assert read_codestream(other) is None


def test_jpeg_2000_boxes_that_lead_nowhere_are_refused_at_once(tmp_path: Path) -> None:
    dataset = dicom_dataset(np.zeros((64, 64), dtype=np.uint8))
    dataset.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    boxes = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(8)
    dataset.PixelData = encapsulate([boxes + bytes(100)])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(tmp_path / "loop.dcm")
    with pytest.raises(ScanReadError, match="without a codestream") as caught:
        read_scan(tmp_path / "loop.dcm")
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_a_deflated_bomb_is_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "plain.dcm", SLICE)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    dataset.ImageComments = "0" * 5_000_000
    dataset.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)
    assert np.array_equal(read_scan(tmp_path / "deflated.dcm").volume[0], SLICE)
    with pytest.raises(ScanReadError, match="inflates beyond") as caught:
        read_scan(tmp_path / "deflated.dcm", limits=ReadLimits(max_decoded_bytes=10**6))
    assert caught.value.reason is ScanReadReason.TOO_LARGE


def test_an_encoding_without_decoder_is_unsupported(tmp_path: Path) -> None:
    dataset = dicom_dataset(SLICE)
    dataset.file_meta.TransferSyntaxUID = uid.MPEG2MPML
    dataset.PixelData = encapsulate([b"\0\0\1\xba" * 10])
    dataset["PixelData"].VR = "OB"
    dataset.save_as(tmp_path / "video.dcm")
    with pytest.raises(ScanReadError, match="MPEG2") as caught:
        read_scan(tmp_path / "video.dcm")
    assert caught.value.reason is ScanReadReason.UNSUPPORTED


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(60), "Zstandard"),
        (b"PK\x03\x04" + bytes(60), "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (zlib.compress(b"", wbits=31), "gzip of something other"),
        (bytes(344) + b"ni1\0" + bytes(200), "NIfTI header whose image"),
        (b"\x08\x00", "named .dcm, begins with 0x0800"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, head: bytes, words: str) -> None:
    path = tmp_path / "scan.dcm"
    path.write_bytes(head)
    with pytest.raises(ScanReadError, match=words) as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.UNKNOWN_FORMAT


def test_a_deflated_bomb_is_refused_wherever_its_syntax_stands(tmp_path: Path) -> None:
    """A long element before the transfer syntax once hid it from a look at the first bytes."""
    dataset = dicom_dataset(SLICE)
    dataset.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
    dataset.add_new((0x0009, 0x1001), "OB", bytes(3 * 2**20))
    dataset.save_as(tmp_path / "plain.dcm")
    content = (tmp_path / "plain.dcm").read_bytes()
    start = content.index(b"\x02\x00\x10\x00UI")
    hiding = b"\x02\x00\x01\x00OB\0\0" + struct.pack("<I", 5000) + bytes(5000)
    hidden = content[:start] + hiding + content[start:]
    (tmp_path / "hidden.dcm").write_bytes(hidden)
    for name in ("plain.dcm", "hidden.dcm"):
        with pytest.raises(ScanReadError, match="inflates beyond") as caught:
            read_scan(tmp_path / name, limits=ReadLimits(max_decoded_bytes=2**20))
        assert caught.value.reason is ScanReadReason.TOO_LARGE
        assert read_scan(tmp_path / name).volume.shape == (1, *SLICE.shape)


def test_a_picture_of_endless_pages_is_refused_at_the_limit(tmp_path: Path) -> None:
    page = Image.fromarray(SLICE.astype(np.uint8))
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page] * 20)
    with pytest.raises(ScanReadError, match="10 slices, at most 9 are read"):
        read_scan(tmp_path / "pages.tif", limits=ReadLimits(max_frames=9))
    assert len(read_scan(tmp_path / "pages.tif").volume) == 21


def test_a_cut_off_jpeg_ls_stream_is_refused_at_once(tmp_path: Path) -> None:
    path = WRITERS["jpeg_ls_colour"](tmp_path / "x.dcm")
    dataset = dcmread(path)
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([frame.rstrip(b"\0")[:-14]])
    dataset.save_as(path)
    with pytest.raises(ScanReadError, match="Invalid JPEG-LS stream") as caught:
        read_scan(path, limits=ReadLimits(max_file_seconds=1))
    assert caught.value.reason is ScanReadReason.CORRUPT
