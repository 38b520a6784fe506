"""What is written: pictures, maps that lie on their scan in any viewer, and no names."""

import json
from dataclasses import replace
from itertools import pairwise

import nibabel
import numpy as np
import pytest
from PIL import Image

from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.inference.case_files import (
    remove_explanation_files,
    write_case_files,
    write_explanation_files,
)
from raddiag_hf.inference.explain.explanation import Explanation, ScanExplanation
from raddiag_hf.inference.explain.overlays import legend_picture, overlay_picture
from raddiag_hf.inference.explain.saliency import SaliencyMap, ScoreCamSettings
from raddiag_hf.inference.explain.saliency_grid import (
    choose_key_slices,
    saliency_peak,
    saliency_profile,
)
from raddiag_hf.reports.pictures import draw_slice
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.diagnoses import PROVENANCE, make_diagnosis, make_explanation, make_scans
from tests.fixtures.dicom_files import numbered_slices, write_series

SHAPE = (12, 10, 8)
"""Voxels of the NIfTI files, along their own axes."""
HOT = (4, 3, 6)


def explain_brightest(scan):
    """An explanation of which the map is the scan itself, so its peak is the brightest voxel."""
    volume = scan.volume - scan.volume.min()
    values = (volume / volume.max()).astype(np.float32)
    profile = saliency_profile(values)
    depth = len(values)
    part = replace(
        make_diagnosis().scans[0],
        source_slices=depth, encoded_slices=depth, key_slice=None, slice_attention=None,
    )  # fmt: skip
    explained = ScanExplanation(
        contribution=part,
        attention_share=1.0,
        saliency=SaliencyMap(values, "layer4", 8, 1.5),
        profile=profile,
        peak=saliency_peak(values, values.shape),
        key_slices=choose_key_slices(profile, None),
    )
    return Explanation("Meniscal tear", 1.0, 0.73, (explained,), ScoreCamSettings(), PROVENANCE)


def write(folder, scan):
    """Write the files of a scan; return its record and its map."""
    scan = replace(scan, modality=scan.modality or Modality.MRI)
    path = write_explanation_files(folder, explain_brightest(scan), [scan])
    record = json.loads(path.read_text())["scans"][0]
    return record, nibabel.load(folder / record["map"])


def nifti_with_one_bright_voxel(path, affine, code=1):
    voxels = np.zeros(SHAPE, np.int16)
    voxels[HOT] = 1000
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, code=code)
    image.set_qform(affine, code=code)
    image.header["descrip"] = b"DOE^JANE"
    nibabel.save(image, path)
    return path


AFFINES = {
    "as NIfTI likes it": np.diag([2.0, 2.0, 5.0, 1.0]),
    "flipped": np.diag([-2.0, -2.0, 5.0, 1.0]),
    "sagittal": np.array([[0, 0, 5.0, 1], [2.0, 0, 0, 2], [0, -2.0, 0, 3], [0, 0, 0, 1]]),
    "slices first": np.array([[0, 0, 2.0, -9], [0, 2.0, 0, 4], [5.0, 0, 0, 7], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
def test_a_nifti_map_has_shape_and_affine_of_its_scan(tmp_path, affine):
    path = nifti_with_one_bright_voxel(tmp_path / "scan.nii.gz", affine)
    record, image = write(tmp_path / "out", read_scan(path))
    assert image.shape == SHAPE
    np.testing.assert_allclose(image.affine, affine, atol=1e-5)
    values = np.asarray(image.dataobj)
    assert np.unravel_index(values.argmax(), SHAPE) == HOT
    assert values.max() == 100
    assert record["map_position_known"]
    assert b"DOE" not in image.header.binaryblock


def test_a_nifti_without_orientation_keeps_its_shape_and_says_so(tmp_path):
    path = nifti_with_one_bright_voxel(tmp_path / "scan.nii", np.diag([2.0, 2.0, 5.0, 1.0]), code=0)
    record, image = write(tmp_path / "out", read_scan(path))
    assert image.shape == SHAPE
    assert np.unravel_index(np.asarray(image.dataobj).argmax(), SHAPE) == HOT
    assert not record["map_position_known"]
    assert "does not say where" in record["map_alignment"]


def test_a_dicom_map_lies_where_the_headers_say(tmp_path):
    slices = numbered_slices(4)
    slices[2, 5, 1] = 5000
    write_series(tmp_path / "series", slices, heights=[10, 14, 18, 22], PixelSpacing=[0.5, 0.75])
    record, image = write(tmp_path / "out", read_scan(tmp_path / "series"))
    place = np.unravel_index(np.asarray(image.dataobj).argmax(), image.shape)
    assert place == (1, 5, 2)  # column, row, slice
    left_back_up = np.array([1 * 0.75, 5 * 0.5, 18])
    np.testing.assert_allclose((image.affine @ [*place, 1])[:3], left_back_up * [-1, -1, 1])
    assert record["map_position_known"]


@pytest.mark.parametrize(
    "tags", [{"heights": [0, 5, 30, 35]}, {"ImagePositionPatient": None}], ids=["gap", "nowhere"]
)
def test_dicom_slices_without_even_places_have_no_position(tmp_path, tags):
    write_series(tmp_path / "series", numbered_slices(4), **tags)
    record, image = write(tmp_path / "out", read_scan(tmp_path / "series"))
    assert image.shape == (8, 8, 4)
    assert not record["map_position_known"]
    assert int(image.header["sform_code"]) == 0


def test_a_picture_has_a_map_without_position(tmp_path):
    pixels = np.zeros((9, 7), np.uint8)
    pixels[6, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "film.png")
    record, image = write(
        tmp_path / "out", read_scan(tmp_path / "film.png", modality=Modality.XRAY)
    )
    assert image.shape == (7, 9, 1)
    assert np.unravel_index(np.asarray(image.dataobj).argmax(), image.shape) == (2, 6, 0)
    assert record["overlays"] == ["overlays/scan-1-x-ray.png"]


def test_no_name_of_a_file_or_patient_is_written(tmp_path):
    folder = tmp_path / "DOE_JANE"
    write_series(folder, numbered_slices(3))
    out = tmp_path / "out"
    write(out, read_scan(folder))
    for path in out.rglob("*"):
        assert "DOE" not in path.name
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret in content for secret in (b"DOE_JANE", b"Doe^Jane", b"MRN-4711"))


def test_pictures_are_whole_and_numbered_as_radiologists_count(tmp_path):
    record, _ = write(tmp_path, make_scan(3, (5, 30, 20), Modality.MRI))
    assert record["overlays"]
    first = explain_brightest(make_scan(3, (5, 30, 20))).scans[0].peak[0]
    assert record["overlays"][0].endswith(f"slice-{first + 1:03d}.png")
    for name in record["overlays"]:
        with Image.open(tmp_path / name) as picture:
            picture.load()
            assert picture.width > picture.height > 200


def test_files_of_an_earlier_case_are_removed_and_those_of_others_stay(tmp_path):
    earlier, _ = write(tmp_path, make_scan(3, (30, 30, 20), Modality.CT))
    (tmp_path / "overlays" / "scan-notes.png").write_text("of the user")
    record, _ = write(tmp_path, make_scan(4, (2, 30, 20), Modality.MRI))
    found = {f"overlays/{path.name}" for path in (tmp_path / "overlays").iterdir()}
    assert found == {*record["overlays"], record["map"], "overlays/scan-notes.png"}
    assert not found & {*earlier["overlays"], earlier["map"]}
    remove_explanation_files(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "overlays",
        "overlays/scan-notes.png",
    ]


def test_a_diagnosis_without_explanation_keeps_none_of_an_earlier_case(tmp_path):
    scans = make_scans()
    write_case_files(tmp_path, make_diagnosis(), scans, make_explanation())
    assert (tmp_path / "explanation.json").is_file()
    assert any((tmp_path / "overlays").iterdir())
    write_case_files(tmp_path, make_diagnosis(), scans)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["diagnosis.json", "report.html"]


def test_where_the_map_is_low_the_slice_is_as_it_was():
    scan = make_scan(0, (2, 40, 40))
    values = np.zeros((2, 4, 4), np.float32)
    values[0, 0, 0] = 1
    plain = np.asarray(draw_slice(scan, 0, 40).convert("RGB"), dtype=int)
    tinted = np.asarray(overlay_picture(scan, values, 0, 40), dtype=int)
    np.testing.assert_array_equal(tinted[20:, 20:], plain[20:, 20:])
    assert np.abs(tinted[:5, :5] - plain[:5, :5]).mean() > 20


def test_the_legend_grows_brighter_and_more_opaque():
    legend = np.asarray(legend_picture()).astype(int)[0]
    brightness = legend[::32, :3].sum(1)
    assert all(first < second for first, second in pairwise(brightness))
    assert legend[0, 3] == 0
    assert np.diff(legend[:, 3]).min() >= 0
