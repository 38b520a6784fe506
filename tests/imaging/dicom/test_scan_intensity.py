"""What stored values become: Hounsfield units, displayed greys, inversion, colour."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels.processing import apply_windowing

from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from tests.fixtures.dicom_files import dicom_dataset, item, write_dicom, write_series

RAMP = np.arange(0, 4096, 16, dtype=np.uint16).reshape(16, 16)
RADIOGRAPH = {
    "Modality": "DX",
    "SOPClassUID": uid.DigitalXRayImageStorageForPresentation,
    "BitsStored": 12,
    "HighBit": 11,
    "ImagePositionPatient": None,
    "ImageOrientationPatient": None,
}
"""Overrides that make the builder's CT slice a radiograph of 12 bits."""


def kinds(scan: Scan) -> list[object]:
    return [each["kind"] for each in scan.provenance["decisions"]]


def test_ct_is_in_hounsfield_units_whatever_its_window(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "ct",
        RAMP,
        RescaleSlope=2,
        RescaleIntercept=-1024,
        WindowCenter=40,
        WindowWidth=400,
    )
    assert np.array_equal(read_scan(path).volume[0], RAMP * 2.0 - 1024)


def test_every_slice_has_its_own_rescale(tmp_path: Path) -> None:
    folder = tmp_path / "pet"
    for number, slope in enumerate((0.5, 2.0)):
        write_dicom(
            folder / str(number),
            RAMP,
            Modality="PT",
            ImagePositionPatient=[0, 0, 4.0 * number],
            RescaleSlope=slope,
            RescaleIntercept=0,
        )
    assert np.array_equal(read_scan(folder).volume, np.stack([RAMP * 0.5, RAMP * 2.0]))


def test_a_zero_slope_is_ignored_and_said(tmp_path: Path) -> None:
    scan = read_scan(write_dicom(tmp_path / "ct", RAMP, RescaleSlope=0, RescaleIntercept=-10))
    assert np.array_equal(scan.volume[0], RAMP - 10.0)
    assert scan.provenance["decisions"] == [{"kind": "unusable_tags", "keywords": ["RescaleSlope"]}]


def test_mri_keeps_its_values_whatever_its_windows(tmp_path: Path) -> None:
    slices = np.stack([RAMP, RAMP + 7])
    for number, center in enumerate((100, 3000)):
        write_dicom(
            tmp_path / str(number),
            slices[number],
            Modality="MR",
            ImagePositionPatient=[0, 0, 4.0 * number],
            WindowCenter=center,
            WindowWidth=1,
        )
    assert np.array_equal(read_scan(tmp_path).volume, slices)


@pytest.mark.parametrize("function", [None, "LINEAR_EXACT", "SIGMOID"])
def test_a_radiograph_is_windowed(tmp_path: Path, function: str | None) -> None:
    tags = {
        **RADIOGRAPH,
        "WindowCenter": [2000, 1000],
        "WindowWidth": [1000, 300],
        "VOILUTFunction": function,
    }
    scan = read_scan(write_dicom(tmp_path / "dx", RAMP, **tags))
    assert np.allclose(scan.volume[0], apply_windowing(RAMP, dicom_dataset(RAMP, **tags)))
    assert kinds(scan) == ["display_window_applied"]
    assert scan.volume.min() == pytest.approx(0, abs=2)
    assert scan.volume.max() == pytest.approx(4095, abs=2)


def test_a_lookup_table_comes_before_a_window(tmp_path: Path) -> None:
    # 12 bits in, 8 bits out: more entries than an 8-bit index could reach.
    table = np.minimum(np.arange(4096) // 8, 255).astype(np.uint16)
    scan = read_scan(
        write_dicom(
            tmp_path / "dx",
            RAMP,
            **RADIOGRAPH,
            WindowCenter=2000,
            WindowWidth=1000,
            VOILUTSequence=[
                item(LUTDescriptor=[4096, 0, 8], LUTData=table.astype("<u2").tobytes())
            ],
        )
    )
    assert np.array_equal(scan.volume[0], table[RAMP])


def test_a_table_of_bytes_is_read_as_bytes(tmp_path: Path) -> None:
    table = (np.arange(4096) // 16).astype(np.uint8)
    scan = read_scan(
        write_dicom(
            tmp_path / "dx",
            RAMP,
            **RADIOGRAPH,
            VOILUTSequence=[item(LUTDescriptor=[4096, 0, 8], LUTData=table.tobytes())],
        )
    )
    assert np.array_equal(scan.volume[0], table[RAMP])


def test_values_beyond_a_lookup_table_take_its_ends(tmp_path: Path) -> None:
    entries = np.asarray([5, 6, 7], dtype="<u2").tobytes()
    scan = read_scan(
        write_dicom(
            tmp_path / "dx",
            RAMP,
            **RADIOGRAPH,
            ModalityLUTSequence=[item(LUTDescriptor=[3, 1000, 16], LUTData=entries)],
        )
    )
    assert np.array_equal(scan.volume[0], np.where(RAMP <= 1000, 5, 7))


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ({"WindowCenter": 2000, "WindowWidth": 0}, "malformed"),
        ({"WindowCenter": -9000, "WindowWidth": 10}, "blank"),
    ],
)
def test_a_window_that_would_ruin_the_image_is_ignored_and_said(
    tmp_path: Path, window: dict[str, float], why: str
) -> None:
    scan = read_scan(write_dicom(tmp_path / "dx", RAMP, **RADIOGRAPH, **window))
    assert np.array_equal(scan.volume[0], RAMP)
    assert scan.provenance["decisions"] == [{"kind": "display_window_ignored", "why": why}]


def test_monochrome1_is_inverted_once_after_the_window(tmp_path: Path) -> None:
    tags = {**RADIOGRAPH, "WindowCenter": 2048, "WindowWidth": 4096}
    plain = read_scan(write_dicom(tmp_path / "plain", RAMP, **tags))
    inverted = read_scan(
        write_dicom(tmp_path / "m1", RAMP, **tags, PhotometricInterpretation="MONOCHROME1")
    )
    lowest, highest = plain.volume.min(), plain.volume.max()
    assert np.allclose(inverted.volume, lowest + highest - plain.volume)
    assert kinds(inverted) == ["display_window_applied", "monochrome1_inverted"]


def test_a_series_is_inverted_as_one_so_that_slices_stay_comparable(tmp_path: Path) -> None:
    slices = np.stack([RAMP, RAMP // 2]).astype(np.int16)
    write_series(tmp_path, slices, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_scan(tmp_path).volume, slices.max() - slices.astype(np.float32))


def test_colour_becomes_luminance_and_equal_channels_stay_exact(tmp_path: Path) -> None:
    ultrasound = {"Modality": "US", "SOPClassUID": uid.UltrasoundImageStorage}
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    equal = write_dicom(tmp_path / "equal", np.stack([grey] * 3, axis=-1), **ultrasound)
    assert np.array_equal(read_scan(equal).volume[0], grey)

    red = np.zeros((16, 16, 3), dtype=np.uint8)
    red[..., 0] = 200
    scan = read_scan(write_dicom(tmp_path / "red", red, **ultrasound))
    assert np.allclose(scan.volume, 200 * 0.299)
    assert kinds(scan) == ["colour_to_grey"]


def test_an_ultrasound_clip_is_one_scan_with_its_frames_as_slices(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 8, 8, 3), dtype=np.uint8)
    scan = read_scan(
        write_dicom(
            tmp_path / "clip",
            frames,
            Modality="US",
            SOPClassUID=uid.UltrasoundMultiFrameImageStorage,
        )
    )
    assert scan.volume.shape == (5, 8, 8)
    assert np.allclose(scan.volume, frames @ np.asarray([0.299, 0.587, 0.114]), atol=1e-3)
    assert not scan.is_picture


def test_palette_indices_beyond_the_palette_take_its_last_entry(tmp_path: Path) -> None:
    entries = np.asarray([10, 20, 30, 40], dtype=np.uint8).tobytes()
    palette = {
        f"{colour}PaletteColorLookupTable{kind}": value
        for colour in ("Red", "Green", "Blue")
        for kind, value in (("Descriptor", [4, 0, 8]), ("Data", entries))
    }
    indices = np.asarray([[0, 1], [2, 250]], dtype=np.uint8)
    scan = read_scan(
        write_dicom(
            tmp_path / "us",
            indices,
            Modality="US",
            PhotometricInterpretation="PALETTE COLOR",
            **palette,
        )
    )
    assert scan.volume[0].tolist() == [[10, 20], [30, 40]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    pixels: NDArray[np.float32] = np.ones((8, 8), dtype=np.float32)
    pixels[4, 4] = value
    dataset = dicom_dataset(pixels.view(np.uint32), BitsAllocated=32)
    del dataset.PixelData
    dataset.FloatPixelData = pixels.tobytes()
    dataset.save_as(tmp_path / "float.dcm")
    with pytest.raises(ScanReadError) as caught:
        read_scan(tmp_path / "float.dcm")
    assert caught.value.reason is ScanReadReason.BAD_VALUES
