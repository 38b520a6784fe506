"""Folders that are labels, or splits of such folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raddiag_hf.core.errors import InputError
from raddiag_hf.data.hospital.case import HospitalDataError
from raddiag_hf.data.hospital.class_folders import read_class_folders
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.importing import import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Split
from tests.fixtures.dicom_files import numbered_slices, write_series

PSEUDONYMS = Pseudonyms(bytes(range(32)))


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 255, (9, 9)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def test_files_and_folders_of_a_label_are_its_cases(tmp_path: Path) -> None:
    for name in ("benign/1.png", "benign/2.png", "no finding/a/1.png", "no finding/a/2.png"):
        write_picture(tmp_path / name)
    write_series(tmp_path / "malignant", numbered_slices(3), PatientID="P", PatientAge="050Y")
    (tmp_path / "benign" / "notes.txt").write_text("x")
    (tmp_path / "README.md").write_text("x")

    cases, strays = read_class_folders(tmp_path)

    found = [(case.labels, len(list(case.scans[0].all_files())), case.patient_id) for case in cases]
    assert found == [
        (("benign",), 1, ""),
        (("benign",), 1, ""),
        (("malignant",), 3, "P"),
        (("no finding",), 2, ""),
    ]
    assert {(path.name, reason) for path, reason in strays.files} == {
        ("notes.txt", "unknown_format"),
        ("README.md", "no_class"),
    }


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "Valid", "Testing")])
def test_splits_of_folders_are_kept(tmp_path: Path, names: tuple[str, str, str]) -> None:
    for number, name in enumerate(names):
        for label in ("a", "b"):
            write_picture(tmp_path / name / label / f"{number}.png")
    cases, _ = read_class_folders(tmp_path)
    found = {(case.split, case.labels) for case in cases}
    assert found == {(split, (label,)) for split in Split for label in "ab"}


def test_a_folder_that_is_no_label_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "Pleural\u00a0effusion" / "1.png")
    label_set = LabelSet(("Pleural effusion", "Mass"))
    ((case,), _) = read_class_folders(tmp_path, label_set)
    assert case.labels == ("Pleural effusion",)
    write_picture(tmp_path / "mas" / "1.png")
    with pytest.raises(HospitalDataError, match="mas: is not one of the 2 labels"):
        read_class_folders(tmp_path, label_set)
    with pytest.raises(HospitalDataError, match="expected label/case"):
        read_class_folders(tmp_path / "mas")


def test_pictures_are_imported_with_the_modality_that_was_said(tmp_path: Path) -> None:
    for number in range(4):
        write_picture(tmp_path / "in" / ("a", "b")[number % 2] / f"{number}.png")
    with pytest.raises(HospitalDataError, match="--class-folders"):
        import_hospital_data(tmp_path / "in", tmp_path / "out", PSEUDONYMS)
    settings = ImportSettings(class_folders=True, modality="ultrasound")
    result = import_hospital_data(tmp_path / "in", tmp_path / "out", PSEUDONYMS, settings)
    assert sum(result.store.num_cases(split) for split in result.store.shards) == 4
    assert result.store.label_sets["labels"].names == ("a", "b")
    with pytest.raises(InputError, match="'echo' is not a modality"):
        ImportSettings(modality="echo")
