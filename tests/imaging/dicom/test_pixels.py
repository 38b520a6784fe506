"""Stored values against headers that contradict them: bits, signs, colour order, frames."""

from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset, write_file_meta_info

from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from tests.fixtures.dicom_files import AXIAL, dicom_dataset, functional_groups, write_dicom

Encode = Callable[[NDArray[np.generic]], bytes]


def jpeg_2000(pixels: NDArray[np.generic], **options: object) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", **options))


def reversible(pixels: NDArray[np.generic]) -> bytes:
    return jpeg_2000(pixels, level=0, reversible=True)


LOSSLESS: dict[str, tuple[uid.UID, Encode]] = {
    "JPEG lossless": (uid.JPEGLossless, imagecodecs.ljpeg_encode),
    "JPEG lossless SV1": (uid.JPEGLosslessSV1, imagecodecs.ljpeg_encode),
    "JPEG-LS": (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG 2000 lossless": (uid.JPEG2000Lossless, reversible),
    "JPEG 2000, no loss": (uid.JPEG2000, reversible),
    "HTJ2K": (uid.HTJ2KLossless, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
}
ULTRASOUND = {"Modality": "US", "SOPClassUID": uid.UltrasoundMultiFrameImageStorage}
COLOURS = np.kron(
    np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8),
    np.ones((8, 8, 1), dtype=np.uint8),
)
LUMINANCE = COLOURS @ np.asarray([0.299, 0.587, 0.114])


def compressed(
    path: Path,
    like: NDArray[np.generic],
    codestreams: Sequence[bytes],
    syntax: uid.UID,
    *,
    has_table: bool = True,
    fragments: int = 1,
    **tags: object,
) -> Path:
    """Write a file whose header is about ``like`` and ``tags``, and its pixels ``codestreams``."""
    dataset = dicom_dataset(like, **tags)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate(
        list(codestreams), has_bot=has_table, fragments_per_frame=fragments
    )
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path, enforce_file_format=True)
    return path


def decisions(scan: Scan) -> object:
    return scan.provenance["decisions"]


@pytest.mark.parametrize("bits", [9, 10, 12, 13, 15])
@pytest.mark.parametrize("codec", LOSSLESS)
def test_signed_values_of_fewer_bits_are_exact(tmp_path: Path, codec: str, bits: int) -> None:
    """Encoded as what they are in memory: two's complement in unsigned words."""
    syntax, encode = LOSSLESS[codec]
    values = np.random.default_rng(bits).integers(-(1 << bits - 1), 1 << bits - 1, (24, 20))
    words = (values & (1 << bits) - 1).astype(np.uint16)
    tags = {"BitsStored": bits, "HighBit": bits - 1}
    path = compressed(tmp_path / "a", values.astype(np.int16), [encode(words)], syntax, **tags)
    assert np.array_equal(read_scan(path).volume[0], values)


@pytest.mark.parametrize("codec", ["JPEG-LS", "JPEG 2000 lossless"])
def test_sign_bits_beyond_the_stored_ones_change_nothing(tmp_path: Path, codec: str) -> None:
    syntax, encode = LOSSLESS[codec]
    values = np.random.default_rng(2).integers(-2048, 2048, (24, 20)).astype(np.int16)
    tags = {"BitsStored": 12, "HighBit": 11}
    path = compressed(tmp_path / "a", values, [encode(values.view(np.uint16))], syntax, **tags)
    assert np.array_equal(read_scan(path).volume[0], values)


@pytest.mark.parametrize("num_frames", [1, 3])
@pytest.mark.parametrize("signed_header", [True, False])
def test_jpeg_2000_whose_sign_is_not_the_headers(
    tmp_path: Path, signed_header: bool, num_frames: int
) -> None:
    kinds = (np.int16, np.uint16) if signed_header else (np.uint16, np.int16)
    values = np.random.default_rng(3).integers(0, 65_536, (num_frames, 24, 20))
    header, stream = (values.astype(np.uint16).view(kind) for kind in kinds)
    path = compressed(
        tmp_path / "a", header, [reversible(frame) for frame in stream], uid.JPEG2000Lossless
    )
    assert np.array_equal(read_scan(path).volume, header)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("codec", LOSSLESS)
def test_overlay_bits_are_no_intensity(tmp_path: Path, codec: str, bits: int) -> None:
    syntax, encode = LOSSLESS[codec]
    draws = np.random.default_rng(4)
    values = draws.integers(0, 1 << bits, (24, 20), dtype=np.uint16)
    overlay = draws.integers(0, 2, values.shape, dtype=np.uint16) << bits
    tags = {"BitsStored": bits, "HighBit": bits - 1}
    path = compressed(tmp_path / "a", values, [encode(values | overlay)], syntax, **tags)
    assert np.array_equal(read_scan(path).volume[0], values)


def test_what_lossy_compression_adds_beyond_white_stays_white(tmp_path: Path) -> None:
    values = np.zeros((64, 64), dtype=np.uint16)
    values[16:48, 16:48] = 4095
    codestream = jpeg_2000(values, level=70)
    assert imagecodecs.jpeg2k_decode(codestream).max() > 4095
    path = compressed(tmp_path / "a", values, [codestream], uid.JPEG2000, BitsStored=12, HighBit=11)
    volume = read_scan(path).volume[0]
    assert volume.max() == 4095
    assert np.abs(volume - values).max() < 800


@pytest.mark.parametrize("planar", [0, 1, None])
@pytest.mark.parametrize("num_frames", [1, 2])
@pytest.mark.parametrize(
    ("syntax", "photometric", "encode"),
    [
        (
            uid.JPEGBaseline8Bit,
            "YBR_FULL_422",
            lambda pixels: imagecodecs.jpeg8_encode(
                pixels, level=100, outcolorspace="YCBCR", subsampling="444"
            ),
        ),
        (
            uid.JPEGBaseline8Bit,
            "RGB",
            lambda pixels: imagecodecs.jpeg8_encode(
                pixels, level=100, colorspace="RGB", outcolorspace="RGB"
            ),
        ),
        (uid.JPEG2000Lossless, "YBR_RCT", lambda pixels: jpeg_2000(pixels, level=0, mct=True)),
        (uid.JPEG2000, "YBR_ICT", lambda pixels: jpeg_2000(pixels, level=60, mct=True)),
        (uid.JPEGLSLossless, "RGB", imagecodecs.jpegls_encode),
        (
            uid.JPEGLosslessSV1,
            "RGB",
            lambda pixels: imagecodecs.jpeg8_encode(
                pixels, lossless=True, colorspace="RGB", outcolorspace="RGB", predictor=1
            ),
        ),
    ],
)
def test_the_codec_orders_the_colours_whatever_the_header_says(
    tmp_path: Path,
    syntax: uid.UID,
    photometric: str,
    encode: Encode,
    num_frames: int,
    planar: int | None,
) -> None:
    frames = np.stack([np.roll(COLOURS, 8 * number, axis=0) for number in range(num_frames)])
    tags = {**ULTRASOUND, "PhotometricInterpretation": photometric, "PlanarConfiguration": planar}
    streams = [encode(frame) for frame in frames]
    scan = read_scan(compressed(tmp_path / "a", frames, streams, syntax, **tags))
    for number, slice_ in enumerate(scan.volume):
        assert np.abs(slice_ - np.roll(LUMINANCE, 8 * number, axis=0)).max() < 4


@pytest.mark.parametrize("planar", [0, 1])
def test_run_lengths_come_colour_by_colour(tmp_path: Path, planar: int) -> None:
    dataset = dicom_dataset(COLOURS, **ULTRASOUND)
    dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
    dataset.PlanarConfiguration = planar
    dataset.save_as(tmp_path / "a")
    assert np.allclose(read_scan(tmp_path / "a").volume[0], LUMINANCE, atol=1e-3)


@pytest.mark.parametrize("has_both_chromas", [True, False])
@pytest.mark.parametrize("num_frames", [1, 2])
def test_ybr_422_with_two_bytes_a_pixel_or_the_three_of_a_common_lie(
    tmp_path: Path, num_frames: int, has_both_chromas: bool
) -> None:
    grey = np.random.default_rng(5).integers(0, 256, (num_frames, 8, 10), dtype=np.uint8)
    chroma = np.full_like(grey, 128)
    frames = np.stack([grey, chroma, chroma], axis=-1)
    dataset = dicom_dataset(frames, **ULTRASOUND, PhotometricInterpretation="YBR_FULL_422")
    if not has_both_chromas:
        parts = (grey[..., 0::2], grey[..., 1::2], chroma[..., 0::2], chroma[..., 0::2])
        dataset.PixelData = np.stack(parts, axis=-1).tobytes()
    dataset.save_as(tmp_path / "a")
    scan = read_scan(tmp_path / "a")
    assert np.allclose(scan.volume, grey, atol=1)
    assert {"kind": "colour_to_grey"} in decisions(scan)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.JPEGBaseline8Bit, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=100)),
        (uid.JPEGExtended12Bit, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=100)),
        (uid.JPEGLosslessSV1, imagecodecs.ljpeg_encode),
        (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
        (uid.JPEG2000Lossless, reversible),
    ],
)
def test_eight_bits_under_a_header_of_sixteen(
    tmp_path: Path, syntax: uid.UID, encode: Encode
) -> None:
    grey = np.ascontiguousarray(COLOURS[..., 0])
    tags = {"BitsStored": 8, "HighBit": 7}
    path = compressed(tmp_path / "a", grey.astype(np.uint16), [encode(grey)], syntax, **tags)
    assert np.abs(read_scan(path).volume[0] - grey).max() <= 2


@pytest.mark.parametrize("declared", [None, 0, 1, 2])
@pytest.mark.parametrize("how", ["native", "JPEG-LS", "JPEG-LS in pieces", "RLE"])
def test_all_frames_are_read_where_the_header_says_fewer(
    tmp_path: Path, how: str, declared: int | None
) -> None:
    clip = np.random.default_rng(6).integers(0, 256, (5, 16, 18), dtype=np.uint8)
    path = tmp_path / "a"
    if how.startswith("JPEG-LS"):
        streams = [imagecodecs.jpegls_encode(frame) for frame in clip]
        pieces = 3 if "pieces" in how else 1
        tags = {**ULTRASOUND, "NumberOfFrames": declared}
        compressed(path, clip, streams, uid.JPEGLSLossless, fragments=pieces, **tags)
    else:
        dataset = dicom_dataset(clip, **ULTRASOUND)
        if how == "RLE":
            dataset.compress(uid.RLELossless, encoding_plugin="pydicom")
        dataset.NumberOfFrames = declared
        dataset.save_as(path)
    scan = read_scan(path)
    assert np.array_equal(scan.volume, clip)
    assert decisions(scan) == [{"kind": "frames_recounted", "declared": declared or 1, "found": 5}]


def test_a_header_that_says_more_frames_than_there_are_is_refused(tmp_path: Path) -> None:
    clip = np.zeros((3, 8, 8), dtype=np.uint8)
    with pytest.raises(ScanReadError) as caught:
        read_scan(write_dicom(tmp_path / "a", clip, **ULTRASOUND, NumberOfFrames=7))
    assert caught.value.reason is ScanReadReason.CORRUPT


def test_bytes_after_the_one_slice_of_a_ct_are_padding(tmp_path: Path) -> None:
    dataset = dicom_dataset(np.ones((8, 8), dtype=np.uint16))
    dataset.PixelData += bytes(len(dataset.PixelData))
    dataset.save_as(tmp_path / "a")
    scan = read_scan(tmp_path / "a")
    assert scan.volume.shape == (1, 8, 8)
    assert decisions(scan) == []


def test_frames_without_functional_groups_are_told(tmp_path: Path) -> None:
    dataset = dicom_dataset(
        np.random.default_rng(7).integers(0, 99, (4, 8, 8), dtype=np.uint16),
        SOPClassUID=uid.EnhancedMRImageStorage,
        Modality="MR",
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
    )
    dataset.PerFrameFunctionalGroupsSequence = [
        functional_groups((0, 0, height), AXIAL) for height in range(3)
    ]
    dataset.save_as(tmp_path / "a")
    with pytest.raises(ScanReadError, match="2 scans"):
        read_scan(tmp_path / "a")


@pytest.mark.parametrize("num_frames", [1, 3])
def test_compressed_data_may_lack_their_end_mark(tmp_path: Path, num_frames: int) -> None:
    clip = np.random.default_rng(8).integers(0, 256, (num_frames, 16, 18), dtype=np.uint8)
    streams = [imagecodecs.jpegls_encode(frame) for frame in clip]
    path = compressed(tmp_path / "a", clip, streams, uid.JPEGLSLossless, **ULTRASOUND)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    assert np.array_equal(read_scan(path).volume, clip)
    path.write_bytes(whole[:-12])
    with pytest.raises(ScanReadError, match="truncated") as caught:
        read_scan(path)
    assert caught.value.reason is ScanReadReason.CORRUPT


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.110", "1.2.840.113845.1.2.1", "1.2.3.4"])
def test_a_syntax_without_decoder_is_unsupported_not_corrupt(tmp_path: Path, syntax: str) -> None:
    dataset = dicom_dataset(np.zeros((8, 8), dtype=np.uint16))
    dataset.PixelData = encapsulate([bytes(20)])
    with (tmp_path / "a").open("wb") as stream:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        meta.TransferSyntaxUID = uid.UID(syntax)
        stream.write(bytes(128) + b"DICM")
        write_file_meta_info(stream, meta)
        stream = DicomFileLike(stream)
        stream.is_implicit_VR, stream.is_little_endian = False, True
        dataset["PixelData"].is_undefined_length = True
        write_dataset(stream, Dataset(dict(dataset)))
    with pytest.raises(ScanReadError, match="transfer syntax") as caught:
        read_scan(tmp_path / "a")
    assert caught.value.reason is ScanReadReason.UNSUPPORTED
    assert ("10008" in syntax) == (syntax in str(caught.value))
