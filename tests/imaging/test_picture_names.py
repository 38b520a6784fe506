"""Names of pictures: slices of one scan, series beside each other, and several patients."""

from pathlib import Path

import pytest

from raddiag_hf.imaging.picture_names import names_of_patients, split_by_name


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "10.png"],
        ["IMG-0001-00001.png", "IMG-0001-00002.png"],
        ["slice_1_of_3.png", "slice_2_of_3.png", "slice_3_of_3.png"],
        ["001_z-10.5.png", "002_z-15.5.png", "003_z-20.5.png"],
        ["frontal.png", "lateral.png"],
        ["brain/1.png", "bone/1.png"],
        ["1/1.png", "2/1.png"],
        ["series01/1.png", "series02/1.png"],
        ["axial_1.png", "axial_2.png", "sagittal_1.png", "sagittal_2.png"],
        ["patient7_1.png", "patient7_2.png"],
        ["049/brain/1.png", "049/brain/2.png"],
    ],
)
def test_pictures_of_one_patient_are_not_suspected(names: list[str]) -> None:
    assert names_of_patients(Path("x"), [Path("x", name) for name in names]) is None


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["patient1.png", "patient2.png"], ("patient1", "patient2")),
        (["P01_1.png", "P01_2.png", "P02_1.png"], ("P01_1", "P02_1")),
        (["sub-01/1.png", "sub-02/1.png"], ("sub-01", "sub-02")),
        (["049/brain/1.png", "050/brain/1.png"], ("049", "050")),
        (["049_1.png", "049_2.png", "050_1.png"], ("049_1", "050_1")),
        (["a/case 3.png", "a/case 12.png"], ("case 3", "case 12")),
    ],
)
def test_pictures_of_several_patients_are_told_by_their_names(
    names: list[str], pair: tuple[str, str]
) -> None:
    assert names_of_patients(Path("x"), [Path("x", name) for name in names]) == pair


def test_series_of_one_folder_are_told_apart_by_name() -> None:
    names = ["axial_1.png", "sagittal_1.png", "axial_2.png", "sagittal_2.png"]
    found = split_by_name([Path(name) for name in names])
    assert [[path.name for path in series] for series in found] == [names[0::2], names[1::2]]
    assert len(split_by_name([Path(name) for name in ("top.png", "middle.png", "1.png")])) == 1
