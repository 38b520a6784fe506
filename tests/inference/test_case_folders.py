"""Folders as people have them: a CD with its viewer, photographs, pictures of one or several."""

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image
from pydicom import uid

from raddiag_hf import read_case
from raddiag_hf.data.hospital.import_settings import ImportSettings
from raddiag_hf.data.hospital.importing import import_hospital_data
from raddiag_hf.data.hospital.pseudonyms import Pseudonyms
from raddiag_hf.data.store.case import decode_case
from raddiag_hf.inference.case import CaseError
from raddiag_hf.vocabulary import Modality
from tests.fixtures.dicom_files import numbered_slices, write_dicom, write_series

PSEUDONYMS = Pseudonyms(bytes(range(32)))


def write_picture(path: Path, number: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (12, 12)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    write_series(tmp_path / "cd" / "DICOM", numbered_slices(3))
    write_picture(tmp_path / "cd" / "VIEWER" / "logo.png")
    write_picture(tmp_path / "cd" / "splash.bmp", 1)
    for name, modality, sop in (
        ("photo", "XC", uid.VLPhotographicImageStorage),
        ("fundus", "OP", uid.OphthalmicPhotography8BitImageStorage),
    ):
        write_dicom(
            tmp_path / "cd" / "DICOM" / name,
            numbered_slices(1)[0],
            Modality=modality,
            SOPClassUID=sop,
            SeriesInstanceUID=f"1.2.{len(name)}",
        )
    return tmp_path / "cd"


def test_what_lies_beside_the_scans_of_a_disc_is_left_out_by_name(disc: Path) -> None:
    case = read_case(disc)
    assert [(scan.modality, len(scan.volume)) for scan in case.scans] == [(Modality.CT, 3)]
    left_out = {each.path.name: each.reason.value for each in case.rejected}
    names = ("logo.png", "splash.bmp", "photo", "fundus")
    assert left_out == dict.fromkeys(names, "unknown_modality")
    assert case.warnings == ["4 files were left out: unknown modality (4)."]


def test_what_was_named_itself_is_asked_for(disc: Path) -> None:
    logo = disc / "VIEWER" / "logo.png"
    with pytest.raises(CaseError, match=r"logo\.png: nothing in it says"):
        read_case([disc / "DICOM", logo])
    with pytest.raises(CaseError) as caught:
        read_case(disc / "VIEWER")
    assert "--scan MODALITY=PATH" in str(caught.value)
    assert f"--scan ct={disc}" not in str(caught.value).replace(f"--scan ct={logo}", "")


@pytest.mark.parametrize(
    ("modality", "stack_pictures", "depths"),
    [
        ("ct", None, [4]),
        ("ct", False, [1, 1, 1, 1]),
        ("xray", None, [1, 1, 1, 1]),
        ("xray", True, [4]),
    ],
)
def test_pictures_of_a_folder_are_read_alike_by_diagnosis_and_import(
    tmp_path: Path, modality: str, stack_pictures: bool | None, depths: list[int]
) -> None:
    for number in range(4):
        write_picture(tmp_path / "in" / f"{number}.png", number)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"case_id,path,modality\na,in,{modality}\n", "utf-8")

    case = read_case(tmp_path / "in", modality, stack_pictures=stack_pictures)
    settings = ImportSettings(stack_pictures=stack_pictures)
    store = import_hospital_data(manifest, tmp_path / "out", PSEUDONYMS, settings).store

    assert [len(scan.volume) for scan in case.scans] == depths
    assert sum(case.stacked_pictures.values()) == (4 if depths == [4] else 0)
    (rows,) = load_dataset(store.location, cache_dir=str(tmp_path / "cache")).values()
    imported = decode_case(rows[0], store.features)
    assert [len(scan.scan.volume) for scan in imported.scans] == depths


@pytest.mark.parametrize("names", [("patient1", "patient2"), ("049/1", "050/1")])
def test_pictures_of_several_patients_are_no_case(tmp_path: Path, names: tuple[str, str]) -> None:
    for number, name in enumerate(names):
        write_picture(tmp_path / "in" / f"{name}.png", number)
    write_picture(tmp_path / "good" / "1.png", 5)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("case_id,path,modality\na,in,ct\nb,good,ct\n", "utf-8")
    with pytest.raises(CaseError, match="a case is of one patient"):
        read_case(tmp_path / "in", "ct")
    result = import_hospital_data(manifest, tmp_path / "out", PSEUDONYMS)
    assert [one.reason for one in result.rejections] == ["mixed_patients"]
