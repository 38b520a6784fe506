"""Padding around a field of view, slices without their rescale, and windows of CT."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.dataelem import DataElement
from pydicom.tag import Tag

from raddiag_hf.imaging.read_settings import ReadSettings
from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import Scan, ScanReadReason
from tests.fixtures.dicom_files import (
    dicom_dataset,
    functional_groups,
    item,
    write_dicom,
    write_series,
)

STORED = ReadSettings(padding="stored")


def details(scan: Scan) -> dict[object, dict[str, object]]:
    """Decisions of a scan by kind, without it."""
    decisions = scan.provenance["decisions"]
    return {
        each["kind"]: {name: value for name, value in each.items() if name != "kind"}
        for each in decisions
    }


def tissue(low: int, high: int, shape: tuple[int, ...] = (3, 16, 16)) -> NDArray[np.int64]:
    values = np.random.default_rng(0).integers(low, high, shape)
    values.flat[:2] = low, high - 1
    return values


def padded(
    folder: Path,
    values: NDArray[np.int64],
    padding: int,
    *,
    written: int | None = None,
    vr: str = "SS",
    limit: int | None = None,
    **tags: object,
) -> tuple[Path, NDArray[np.bool_]]:
    """Write a CT series whose corners are padding, and its tag as ``written`` in ``vr``."""
    mask = np.zeros(values.shape, dtype=bool)
    mask[..., :5, :5] = True
    kind = np.int16 if values.min() < 0 or padding < 0 else np.uint16
    pixels = np.where(mask, padding, values).astype(kind)
    for number, image in enumerate(pixels):
        place = {"ImagePositionPatient": [0, 0, 2.0 * number], "InstanceNumber": number + 1}
        dataset = dicom_dataset(image, **{**place, **tags})
        value = padding if written is None else written
        dataset.add(DataElement(Tag("PixelPaddingValue"), vr, value))
        if limit is not None:
            dataset.add(DataElement(Tag("PixelPaddingRangeLimit"), vr, limit))
        folder.mkdir(exist_ok=True)
        dataset.save_as(folder / str(number))
    return folder, mask


@pytest.mark.parametrize(
    ("low", "high", "padding", "written", "vr"),
    [
        (-1024, 2000, -2000, None, "SS"),
        (-1024, 2000, -2000, 63_536, "US"),  # the sign lost
        (0, 4000, -3024, None, "SS"),
        (24, 4000, 0, None, "US"),
        (0, 4000, 65_535, -1, "SS"),
        (0, 3000, 4095, None, "US"),
    ],
)
def test_padding_takes_the_lowest_value_of_the_image(
    tmp_path: Path, low: int, high: int, padding: int, written: int | None, vr: str
) -> None:
    values = tissue(low, high)
    values[0, 0, 0] = values[0, 8, 8] = low  # within the padding, and not
    rescale = {"RescaleSlope": 2, "RescaleIntercept": -1024}
    path, mask = padded(tmp_path / "ct", values, padding, written=written, vr=vr, **rescale)
    volume = read_scan(path).volume
    assert np.array_equal(volume[~mask], values[~mask] * 2 - 1024)
    assert np.unique(volume[mask]).tolist() == [low * 2 - 1024]
    assert details(read_scan(path))["padding_filled"] == {"num_voxels": int(mask.sum())}

    as_stored = read_scan(path, settings=STORED)
    assert np.unique(as_stored.volume[mask]).tolist() == [padding * 2 - 1024]
    assert "padding_filled" not in details(as_stored)


def test_padding_of_a_ct_that_was_compressed_with_loss_is_no_single_value(tmp_path: Path) -> None:
    values = tissue(0, 4000)
    lossy = {"LossyImageCompression": "01", "RescaleSlope": 1, "RescaleIntercept": -1024}
    path, mask = padded(tmp_path / "ct", values, -2000, **lossy)
    for file in path.iterdir():
        dataset = dcmread(file)
        pixels = dataset.pixel_array.copy()
        pixels[:5, :5] += np.arange(25, dtype=np.int16).reshape(5, 5) * 20 - 250
        dataset.PixelData = pixels.tobytes()
        dataset.save_as(file)
    scan = read_scan(path)
    assert np.unique(scan.volume[mask]).tolist() == [values[~mask].min() - 1024]
    assert np.array_equal(scan.volume[~mask], values[~mask] - 1024.0)


def test_padding_may_be_a_range(tmp_path: Path) -> None:
    values = tissue(0, 4000)
    path, mask = padded(tmp_path / "ct", values, -1998, written=-2000, limit=-1990)
    assert read_scan(path).volume[mask].max() == values[~mask].min()


def test_padding_of_a_radiograph_whose_low_values_are_white_stays_black(tmp_path: Path) -> None:
    values = tissue(1000, 3000, (1, 16, 16))
    film = {
        "Modality": "MG",
        "SOPClassUID": uid.DigitalMammographyXRayImageStorageForPresentation,
        "PhotometricInterpretation": "MONOCHROME1",
        "WindowCenter": 2000,
        "WindowWidth": 4000,
    }
    path, mask = padded(tmp_path / "mg", values, 16_383, vr="US", **film)
    volume = read_scan(path).volume
    assert volume[mask].max() == volume.min() < volume[~mask].max()


@pytest.mark.parametrize("padding", [0, 500])
def test_a_value_amid_those_of_the_image_is_not_taken_for_padding(
    tmp_path: Path, padding: int
) -> None:
    values = tissue(-1000, 1500)
    path, mask = padded(tmp_path / "ct", values, padding)
    scan = read_scan(path)
    assert (scan.volume[mask] == padding).all()
    assert details(scan)["padding_doubted"]["num_voxels"] >= mask.sum()


def test_an_image_of_nothing_but_padding_stays_as_it_is(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", np.full((8, 8), 7, np.int16), PixelPaddingValue=7)
    assert np.unique(read_scan(path).volume).tolist() == [7]


@pytest.mark.parametrize("keywords", [("RescaleIntercept",), ("RescaleSlope", "RescaleIntercept")])
@pytest.mark.parametrize("num_lost", [1, 4])
def test_slices_that_lost_their_rescale_get_that_of_the_others(
    tmp_path: Path, num_lost: int, keywords: tuple[str, ...]
) -> None:
    stored = tissue(0, 4000, (5, 8, 8)).astype(np.uint16)
    for number, image in enumerate(stored):
        rescale: dict[str, object] = {"RescaleSlope": 2, "RescaleIntercept": -1024}
        if number < num_lost:
            rescale |= dict.fromkeys(keywords)
        place = {"ImagePositionPatient": [0, 0, float(number)], "InstanceNumber": number + 1}
        write_dicom(tmp_path / str(number), image, **place, **rescale)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.volume, stored * 2.0 - 1024)
    assert details(scan)["rescale_filled_in"] == {"num_slices": num_lost}


def test_frames_of_an_enhanced_file_are_slices_too(tmp_path: Path) -> None:
    stored = tissue(0, 4000, (4, 8, 8)).astype(np.uint16)
    dataset = dicom_dataset(
        stored,
        SOPClassUID=uid.EnhancedCTImageStorage,
        ImagePositionPatient=None,
        ImageOrientationPatient=None,
    )
    rescale = item(RescaleSlope=1, RescaleIntercept=-1024)
    dataset.PerFrameFunctionalGroupsSequence = [
        functional_groups(
            (0, 0, number), **({"PixelValueTransformationSequence": rescale} if number else {})
        )
        for number in range(4)
    ]
    dataset.save_as(tmp_path / "a")
    scan = read_scan(tmp_path / "a")
    assert np.array_equal(scan.volume, stored - 1024.0)
    assert details(scan)["rescale_filled_in"] == {"num_slices": 1}


def test_a_slice_of_pet_without_its_slope_is_left_out(tmp_path: Path) -> None:
    stored = tissue(0, 4000, (5, 8, 8)).astype(np.uint16)
    for number, image in enumerate(stored):
        rescale = {"RescaleSlope": None if number == 2 else number + 0.5, "RescaleIntercept": 0}
        place = {"ImagePositionPatient": [0, 0, float(number)], "InstanceNumber": number + 1}
        write_dicom(tmp_path / str(number), image, Modality="PT", **place, **rescale)
    reading = read_scans(tmp_path)
    (scan,) = reading.scans
    kept = [0, 1, 3, 4]
    assert np.array_equal(scan.volume, [stored[number] * (number + 0.5) for number in kept])
    assert details(scan)["unreadable_slices"] == {"num_lost": 1}
    (rejected,) = reading.rejected
    assert rejected.path.name == "2"
    assert rejected.reason is ScanReadReason.INCONSISTENT_SERIES


def test_a_series_without_any_rescale_stays_as_stored(tmp_path: Path) -> None:
    stored = tissue(0, 4000).astype(np.uint16)
    write_series(tmp_path, stored)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.volume, stored)
    assert details(scan) == {}


@pytest.mark.parametrize(("first", "signed"), [(65_436, True), (-100, True), (65_000, False)])
def test_the_first_value_of_a_table_is_signed_where_values_are(
    tmp_path: Path, first: int, signed: bool
) -> None:
    low = -100 if signed else 65_000
    values = np.arange(low, low + 200).reshape(10, 20)
    table = item(LUTData=(np.arange(200) * 10).astype("<u2").tobytes())
    vr = "SS" if first < 0 else "US"
    table.add(DataElement(Tag("LUTDescriptor"), vr, [200, first, 16]))
    path = write_dicom(
        tmp_path / "cr",
        values.astype(np.int16 if signed else np.uint16),
        Modality="CR",
        SOPClassUID=uid.ComputedRadiographyImageStorage,
        VOILUTSequence=[table],
    )
    assert np.array_equal(read_scan(path).volume[0], np.arange(200).reshape(10, 20) * 10)


WINDOWS = [
    ({"WindowCenter": 40, "WindowWidth": 400}, (-160, 240)),
    ({"WindowCenter": [40, 600], "WindowWidth": [80, 2800]}, (0, 80)),
    ({"WindowCenter": 40, "WindowWidth": 0}, None),
    ({"WindowCenter": 9000, "WindowWidth": 10}, None),
    ({"WindowCenter": 40}, None),
    ({}, None),
]


@pytest.mark.parametrize(("tags", "window"), WINDOWS)
def test_the_window_of_a_ct_is_kept_for_display(
    tmp_path: Path, tags: dict[str, object], window: tuple[float, float] | None
) -> None:
    values = tissue(-1000, 1500).astype(np.int16)
    write_series(tmp_path, values, **tags)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.volume, values)
    assert scan.display_window == window

    clipped = read_scan(tmp_path, settings=ReadSettings(ct_range="window"))
    if window is None:
        assert np.array_equal(clipped.volume, values)
        assert details(clipped)["display_window_ignored"] == {"why": "absent or malformed"}
    else:
        assert np.array_equal(clipped.volume, values.clip(*window))
        assert details(clipped)["display_window_applied"] == {
            "lowest": window[0],
            "highest": window[1],
        }


def test_mri_has_no_window_of_its_own(tmp_path: Path) -> None:
    write_series(
        tmp_path, tissue(0, 900).astype(np.int16), Modality="MR", WindowCenter=300, WindowWidth=500
    )
    scan = read_scan(tmp_path, settings=ReadSettings(ct_range="window"))
    assert scan.display_window is None
    assert details(scan) == {}
