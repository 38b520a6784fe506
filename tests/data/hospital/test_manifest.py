"""What a manifest may say, and that every other one is answered with its row and column."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raddiag_hf.data.hospital.manifest import read_manifest
from raddiag_hf.data.hospital.manifest_rows import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    ManifestError,
)
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Sex, Split
from tests.fixtures.dicom_files import write_dicom

PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)


def write_manifest(folder: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(case_id: str = "a", path: str = "", **cells: str) -> dict[str, str]:
    return {"case_id": case_id, "path": path or f"{case_id}.png", **cells}


def test_a_manifest_of_two_columns_is_enough(tmp_path):
    (case,) = read_manifest(write_manifest(tmp_path, [row()]))
    assert (case.case_id, case.patient_id, case.labels, case.split) == ("a", "", (), None)
    assert case.scans[0].path == tmp_path / "a.png"


def test_every_column_arrives(tmp_path):
    said = row(
        patient_id="p",
        study="visit 2",
        modality="ct",
        anatomy="chest",
        labels="Nodule; Effusion ;",
        unknown_labels="Mass",
        split="Test",
        age="61.5",
        sex="f",
        date="2024-02-29",
    )
    manifest = write_manifest(tmp_path, [said, row("b", labels="Mass")])
    case, _ = read_manifest(manifest)
    assert case.unknown_labels == ("Mass",)
    assert set(said) == {*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS}
    assert (case.patient_id, case.labels, case.split) == ("p", ("Nodule", "Effusion"), Split.TEST)
    assert (case.age, case.sex) == (61.5, Sex.FEMALE)
    assert case.scans[0].study == "visit 2"
    assert (case.scans[0].modality, case.scans[0].anatomy) == (Modality.CT, Anatomy.CHEST)


def test_rows_of_one_case_are_its_scans_and_complete_each_other(tmp_path):
    rows = [
        row("a", "1.png", sex="m", labels="X;Y"),
        row("b", "2.png"),
        row("a", "3.png", age="40", labels="Y;X", modality="ct"),
    ]
    first, second = read_manifest(write_manifest(tmp_path, rows))
    assert [scan.path.name for scan in first.scans] == ["1.png", "3.png"]
    assert [scan.modality for scan in first.scans] == [None, Modality.CT]
    assert (first.age, first.sex, first.labels) == (40, Sex.MALE, ("X", "Y"))
    assert second.case_id == "b"


def test_a_folder_is_searched_to_any_depth(tmp_path):
    write_dicom(tmp_path / "study" / "series" / "1.dcm", PIXELS)
    (case,) = read_manifest(write_manifest(tmp_path, [row(path="study")]))
    assert list(case.scans[0].all_files()) == [tmp_path / "study" / "series" / "1.dcm"]


def test_links_do_not_hide_that_two_rows_name_one_file(tmp_path):
    write_dicom(tmp_path / "study" / "1.dcm", PIXELS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(tmp_path / "study")
    (tmp_path / "alias.dcm").symlink_to(tmp_path / "study" / "1.dcm")
    for first, second, message in (
        ("study/1.dcm", "alias.dcm", "row 3, column path: is the path of row 2 too"),
        ("study", "alias.dcm", "row 3, column path: lies in the path of row 2"),
        ("study", "other", "row 3, column path: holds a link to a file of row 2"),
    ):
        with pytest.raises(ManifestError, match=message):
            read_manifest(write_manifest(tmp_path, [row("a", first), row("b", second)]))


def test_what_the_manifest_leaves_open_comes_from_the_tags(tmp_path):
    write_dicom(tmp_path / "1.dcm", PIXELS, PatientSex="F", PatientAge="050Y")
    manifest = write_manifest(tmp_path, [row(path="1.dcm")])
    (case,) = read_manifest(manifest)
    assert (case.patient_id, case.sex, case.age) == ("MRN-4711", Sex.FEMALE, 50)
    (case,) = read_manifest(write_manifest(tmp_path, [row(path="1.dcm", patient_id="p", age="3")]))
    assert (case.patient_id, case.age) == ("p", 3)


def test_a_date_gives_the_age_at_the_examination(tmp_path):
    write_dicom(tmp_path / "1.dcm", PIXELS, PatientBirthDate="19700101")
    (case,) = read_manifest(write_manifest(tmp_path, [row(path="1.dcm", date="20200101")]))
    assert case.age == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([row(modality="CTT")], "row 2, column modality: 'CTT' is not a modality"),
        ([row(anatomy="soul")], "row 2, column anatomy: 'soul' is not an anatomy"),
        ([row(split="tset")], "row 2, column split: is 'tset', expected one of train, valid"),
        ([row(sex="x")], "row 2, column sex: is 'x', expected F, M or O"),
        ([row(age="old")], "row 2, column age: expected years"),
        ([row(age="nan")], "row 2, column age: expected years"),
        ([row(date="3.4.2020")], "row 2, column date: expected a date as YYYY-MM-DD"),
        ([row(labels="X;X")], "row 2, column labels: names a label twice"),
        (
            [row(labels="X"), row("b", unknown_labels="X;X")],
            "row 3, column unknown_labels: names a label twice",
        ),
        (
            [row(labels="X"), row("b", unknown_labels="x")],
            "row 3, column unknown_labels: 'x' is spelt 'X' in row 2",
        ),
        (
            [row(labels="X"), row("b", unknown_labels="Y")],
            "row 3, column unknown_labels: 'Y' is not in column labels of any row",
        ),
        (
            [row("a", "1", labels="X;Y"), row("a", "2", unknown_labels="Y")],
            "row 3, column unknown_labels: names 'Y', which column labels says the case has",
        ),
        (
            [
                row("a", "1", labels="X", unknown_labels="Y"),
                row("a", "2", unknown_labels="X;Y"),
                row("b", labels="Y"),
            ],
            "row 3, column unknown_labels: contradicts row 2 of the same case",
        ),
        ([row(""), row("b")], "row 2, column case_id: is empty"),
        ([row("a", "x"), row("b", "./x")], "row 3, column path: is the path of row 2 too"),
        ([row("a", "x/../y/1"), row("b", "y")], "row 2, column path: lies in the path of row 3"),
        ([row("a", "ct\\1.dcm")], "row 2, column path: is not there; it has backslashes"),
        ([row(labels="X"), row("b", labels="x")], "row 3, column labels: 'x' is spelt 'X' in row"),
        (
            [row("a", "1", sex="f"), row("b", "2"), row("a", "3", sex="m")],
            r"row 4, column sex: contradicts row 2 of the same case \(Male and Female\)",
        ),
        (
            [row("a", "1", labels="X"), row("a", "2", labels="X;Y")],
            "row 3, column labels: contradicts row 2 of the same case",
        ),
        (
            [row("a", patient_id="p", split="train"), row("b", patient_id="p", split="test")],
            "row 3, column split: is test, but row 2 has the same patient in train",
        ),
        (
            [row(name, split=split) for name, split in zip("abc", Split, strict=True)] + [row("d")],
            "row 5, column split: is empty, while other rows fill all splits",
        ),
        ([row(lables="X")], "row 1: column 'lables' is not one of case_id"),
        ([{"case_id": "a"}], "row 1: has no column path"),
    ],
)
def test_a_mistake_is_named_by_row_and_column(tmp_path, rows, message):
    manifest = write_manifest(tmp_path, rows)
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(manifest)
    assert str(caught.value).startswith(str(manifest))
    assert "\n" not in str(caught.value)


def test_contradicting_patients_are_not_quoted(tmp_path):
    rows = [row("a", "1", patient_id="Jane Doe"), row("a", "2", patient_id="Joan Doe")]
    with pytest.raises(ManifestError, match="row 3, column patient_id: contradicts") as caught:
        read_manifest(write_manifest(tmp_path, rows))
    assert "Doe" not in str(caught.value)


def test_a_label_outside_the_given_set_is_refused_with_its_row(tmp_path):
    manifest = write_manifest(tmp_path, [row(labels="X"), row("b", labels="X;Z")])
    with pytest.raises(ManifestError, match="row 3, column labels: 'Z' is not one of the 2 labels"):
        read_manifest(manifest, LabelSet(("X", "Y")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected a header"),
        (b"case_id,path\n", "has no row below its header"),
        (b"case_id|path\na|b\n", "separated by commas, semicolons or tabs"),
        (b"case_id,path,Case ID\na,b,c\n", "column case_id is there twice"),
        (b"case_id,path,\na,b,c\n", "column '' is not one of"),
        (b"case_id,path,ward\na,b,7\n", "column 'ward' is not one of"),
        (b"case_id,path,labels,Mass\na,b,X,1\n", "column 'Mass' is not one of"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an Excel file of before 2007"),
        (b"PK\x03\x04 no archive", "is not an XLSX table"),
        (b"\xff\xfec", "is not UTF-16"),
        (b"case_id,path\na,b,c\n", "row 2: has 3 cells, expected 2"),
        (b"case_id,path,path\na,b,c\n", "column path is there twice"),
        (b'case_id,path\na,"b\n', "is not CSV"),
        ("case_id,path\nä,b\n".encode("latin-1"), "is not UTF-8 text"),
        (b"case_id,path\na,b\0c\n", "row 2, column path|is not CSV"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path, content, message):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read_manifest(path)


def test_spreadsheets_write_a_mark_and_blank_lines(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"\xef\xbb\xbfcase_id,path\r\na,1.png\r\n,\r\n\r\nb,2.png,\r\n"[:-3] + b"\r\n")
    assert [(case.case_id, case.row) for case in read_manifest(path)] == [("a", 2), ("b", 5)]


CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def complaint(manifest: Path) -> str:
    """The error about a manifest; empty where there is none. Any other error fails the test."""
    try:
        read_manifest(manifest)
    except ManifestError as error:
        return str(error)
    return ""


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries(dict.fromkeys((*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS), CELL))))
def test_any_cells_give_cases_or_one_manifest_error(tmp_path, rows):
    manifest = write_manifest(tmp_path, [row(), *rows])
    assert not complaint(manifest) or complaint(manifest).startswith(f"{manifest}: ")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_give_cases_or_one_manifest_error(tmp_path, content):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"case_id,path\n" + content)
    assert not complaint(path) or complaint(path).startswith(f"{path}: ")


GOOD = {"modality": "CT", "anatomy": "chest", "split": "train", "age": "4", "sex": "F"}
BAD = {"modality": "CTT", "anatomy": "soul", "split": "tset", "age": "-1", "sex": "?"}


@given(st.integers(1, 12), st.data())
def test_one_bad_cell_among_good_rows_is_named(tmp_path_factory, count, data):
    rows = [row(f"case-{number}", **GOOD) for number in range(count)]
    bad, column = data.draw(st.integers(0, count - 1)), data.draw(st.sampled_from(sorted(BAD)))
    rows[bad][column] = BAD[column]
    manifest = write_manifest(tmp_path_factory.mktemp("manifest"), rows)
    assert f": row {bad + 2}, column {column}: " in complaint(manifest)
