"""Real files: pydicom's own collection, and the shared folder's series, encodings and pictures."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydicom.data import get_testdata_file, get_testdata_files

from raddiag_hf.imaging.reading import read_scan, read_scans
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason
from raddiag_hf.vocabulary import Anatomy, Modality, Plane

PYDICOM_FILES = sorted(path for path in map(Path, get_testdata_files()) if path.is_file())
STUDIES = Path(str(get_testdata_file("CT_small.dcm"))).parent / "dicomdirtests"


def loads_or_says_why(path: Path) -> tuple[Scan, ...]:
    try:
        scans = read_scans(path).scans
    except ScanReadError:
        return ()
    for scan in scans:
        assert scan.volume.ndim == 3
        assert scan.volume.dtype == np.float32
        assert np.isfinite(scan.volume).all()
    return scans


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
def test_every_file_of_pydicom_loads_or_says_why(path: Path) -> None:
    loads_or_says_why(path)


def test_most_images_of_pydicom_load() -> None:
    loaded = {path.name for path in PYDICOM_FILES if loads_or_says_why(path)}
    assert len(loaded) >= 70
    assert loaded >= {
        "CT_small.dcm",
        "MR_small.dcm",
        "JPGExtended.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "examples_palette.dcm",
        "examples_ybr_color.dcm",
        "image_dfl.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
    }


def test_encodings_of_pydicoms_mri_give_one_image() -> None:
    expected = read_scan(str(get_testdata_file("MR_small.dcm"))).volume
    for name in (
        "MR_small_RLE",
        "MR_small_bigendian",
        "MR_small_implicit",
        "MR_small_jp2klossless",
        "MR_small_jpeg_ls_lossless",
        "MR_small_padded",
    ):
        found = read_scan(str(get_testdata_file(f"{name}.dcm"))).volume
        assert np.array_equal(found, expected), name


def test_a_study_of_radiographs_and_ct_falls_into_its_series() -> None:
    reading = read_scans(STUDIES / "77654033")
    facts = [(scan.modality, scan.anatomy, scan.plane, len(scan.volume)) for scan in reading.scans]
    assert facts == [
        (Modality.XRAY, Anatomy.SPINE, Plane.LATERAL, 1),
        (Modality.XRAY, Anatomy.SPINE, Plane.FRONTAL, 1),
        (Modality.XRAY, Anatomy.SPINE, Plane.FRONTAL, 1),
        (Modality.CT, Anatomy.HEAD_AND_NECK, Plane.AXIAL, 4),
    ]
    assert reading.rejected == ()
    (gap,) = reading.scans[3].provenance["decisions"]
    assert gap["kind"] == "missing_slices"


def test_localisers_of_the_other_studies_are_left_out() -> None:
    heart = read_scans(STUDIES / "98892001")
    assert [(scan.modality, len(scan.volume)) for scan in heart.scans] == [(Modality.CT, 5)]
    assert [each.found for each in heart.rejected] == ["a localiser"] * 2

    angiography = read_scans(STUDIES / "98892003")
    assert [(scan.modality, len(scan.volume)) for scan in angiography.scans] == [(Modality.MRI, 7)]
    assert {each.reason for each in angiography.rejected} == {ScanReadReason.NOT_DIAGNOSTIC}


def test_every_shared_dicom_file_loads_or_says_why(shared_dir: Path) -> None:
    files = [path for path in (shared_dir / "data" / "dicom").rglob("*") if path.is_file()]
    names = {path.name for path in files if loads_or_says_why(path)}
    missing = {path.name for path in files} - names
    assert {name for name in missing if not name.endswith(".zst")} == set()


@pytest.mark.parametrize("image", ["CT1", "MR1", "NM1", "RG3", "US1", "XA1"])
def test_lossless_encodings_of_one_image_are_identical(
    shared_dir: Path, tmp_path: Path, image: str
) -> None:
    folder = shared_dir / "data" / "dicom" / "wg04"
    files = [
        path
        for encoding in ("JLSL", "J2KR", "JPLL", "RLE")
        for path in [folder / encoding / f"{image}_{encoding}"]
        if path.exists()
    ]
    packed = folder / "REF" / f"{image}_UNC.zst"
    if packed.exists():
        files.append(tmp_path / image)
        with pa.input_stream(str(packed), compression="zstd") as stream:
            files[-1].write_bytes(stream.read())
    assert len(files) >= 3
    volumes = [read_scan(path).volume for path in files]
    for path, volume in zip(files[1:], volumes[1:], strict=True):
        assert np.array_equal(volume, volumes[0]), path


@pytest.mark.parametrize("image", ["CT1", "MR1", "NM1", "RG3", "XA1"])
def test_lossy_encodings_stay_close(shared_dir: Path, image: str) -> None:
    folder = shared_dir / "data" / "dicom" / "wg04"
    expected = read_scan(folder / "J2KR" / f"{image}_J2KR").volume
    for encoding in ("J2KI", "JLSN", "JPLY"):
        path = folder / encoding / f"{image}_{encoding}"
        if path.exists():
            found = read_scan(path).volume
            assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9, path


def test_compressed_series_agree(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "dicom" / "series" / "generic"
    expected = read_scan(folder / "compressed" / "001_ground_truth.nii.gz")
    assert expected.volume.shape == (4, 256, 256)
    for name in ("compressed", "compressed_j2k", "compressed_jpeg", "compressed_rle"):
        found = read_scan(folder / name / "001")
        assert np.array_equal(found.volume, expected.volume), name
        assert found.spacing_mm == expected.spacing_mm


@pytest.mark.parametrize(
    "series",
    [
        "siemens_multiframe/anatomical/001",
        "hyperfine/anatomical/001",
        "generic/anatomical/001",
        "generic/anatomical/001_implicit",
        "generic/anatomical/002_non_isotropic",
        "generic/rgb/001",
        "failing/slicecount/001",
    ],
)
def test_series_agree_with_their_ground_truth(shared_dir: Path, series: str) -> None:
    folder = shared_dir / "data" / "dicom" / "series" / series
    scan = read_scan(folder)
    for suffix in ("ground_truth", "ground_truth_reoriented"):
        truth = read_scan(folder.parent / f"{folder.name}_{suffix}.nii.gz")
        assert np.allclose(truth.volume, scan.volume, rtol=1e-5, atol=1e-3)
        assert truth.spacing_mm == pytest.approx(scan.spacing_mm, rel=1e-3)
        assert truth.plane is scan.plane


def test_known_oddities_of_series_are_reported(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "dicom" / "series" / "failing"
    (tilt,) = read_scan(folder / "gantrytilting").provenance["decisions"]
    assert tilt == {"kind": "gantry_tilt", "degrees": 14.0}
    (gap,) = read_scan(folder / "sliceincrement").provenance["decisions"]
    assert gap == {"kind": "missing_slices", "num_missing": 1, "after_slices": [2]}


def test_an_oblique_mri_and_its_lesion_mask_are_two_scans(shared_dir: Path) -> None:
    flair, mask = read_scans(shared_dir / "data" / "brainix").scans
    assert flair.volume.shape == mask.volume.shape == (22, 288, 288)
    assert flair.modality is Modality.MRI
    assert flair.plane is Plane.AXIAL
    assert flair.spacing_mm == pytest.approx((6.0, 0.7986, 0.7986), abs=1e-3)
    # Its display window (centre 0, width 1) would have made the mask constant.
    assert len(np.unique(mask.volume)) == 2


def test_four_sequences_of_one_glioma_load(shared_dir: Path) -> None:
    scans = read_scans(shared_dir / "data" / "glioma_mri").scans
    assert len(scans) == 4
    assert {scan.plane for scan in scans} == {Plane.AXIAL}
    assert {len(scan.volume) for scan in scans} == {26}


def test_the_references_own_arrays_load(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "rp3d_diag" / "DemoData" / "data"
    for path in sorted(folder.glob("*.npy")):
        scan = read_scan(path)
        stored = np.moveaxis(np.load(path), -1, 0)
        assert np.array_equal(scan.volume, stored[:1] if scan.is_picture else stored)
    assert read_scan(folder / "149462.npy").is_picture


@pytest.mark.parametrize("data_set", ["pocus", "cxr14", "covid_chestxray", "brain_tumor"])
def test_pictures_of_public_data_sets_load(shared_dir: Path, data_set: str) -> None:
    folder = shared_dir / "data" / data_set
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in (".png", ".jpg", ".jpeg") and path.is_file()
    )
    for path in pictures[::40]:
        scan = read_scan(path, modality=Modality.XRAY)
        assert scan.is_picture
        assert scan.volume.min() < scan.volume.max(), path
