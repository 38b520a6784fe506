"""Tables as people have them: delimiters, spreadsheets, columns per label, spellings, faults."""

from pathlib import Path

import pytest

from raddiag_hf.data.hospital.manifest import read_manifest
from raddiag_hf.data.hospital.manifest_rows import ManifestError
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Sex
from tests.fixtures.spreadsheets import write_xlsx

LINES = [
    "case_id,path,age,sex,labels",
    "a,1.png,61,F,Mass",
    "b,2.png,,M,",
]


def saved(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES),
        "\n".join(LINES).replace(",", ";"),
        "\n".join(LINES).replace(",", "\t"),
        "sep=;\n" + "\n".join(LINES).replace(",", ";"),
        "\ufeff" + "\r\n".join(LINES),
        "\n".join(LINES).replace(",", "\t").encode("utf-16"),
        "\n".join(f"{line},,," for line in LINES) + "\n,,,,,,,\n",
        "\n".join(f"{line}," for line in LINES),
        "\n".join(f"{number or ''},{line}" for number, line in enumerate(LINES)),
        "Unnamed: 0," + "\n".join(f"{number - 1},{line}" for number, line in enumerate(LINES))[3:],
        "\n".join(LINES).replace("case_id", "Case_ID").replace("age", " Age "),
        "\n".join(LINES).replace("case_id", "Case ID").replace("sex", "SEX"),
        "\n".join(LINES).replace("case_id", "caseId").replace("path", "Path"),
        "\n".join(LINES).replace("case_id", "case-id").replace("61", "061Y"),
    ],
)
def test_tables_of_any_making_say_the_same(tmp_path: Path, content: str | bytes) -> None:
    first, second = read_manifest(saved(tmp_path / "m.csv", content))
    assert (first.case_id, first.age, first.sex, first.labels) == ("a", 61, Sex.FEMALE, ("Mass",))
    assert (second.case_id, second.age, second.sex, second.labels) == ("b", None, Sex.MALE, ())


@pytest.mark.parametrize(
    ("text", "years"),
    [("067Y", 67), ("018M", 1.5), ("026W", 0.5), ("61.5", 61.5), ("61,5", 61.5), ("58 years", 58)],
)
def test_ages_are_taken_as_dicom_and_people_write_them(
    tmp_path: Path, text: str, years: float
) -> None:
    (case,) = read_manifest(saved(tmp_path / "m.csv", f"case_id;path;age\na;1.png;{text}\n"))
    assert case.age == pytest.approx(years, abs=0.01)


def test_a_sheet_of_excel_is_a_table(tmp_path: Path) -> None:
    table = [
        ["Case ID", "path", "Age", "date", "Mass", "Effusion", ""],
        [7, "1.png", 61.5, (45351, "date"), True, 0, ""],
        [8, "2.png", "067Y", "", 0, "", ""],
        ["", "", "", "", "", "", ""],
        [9, "3.png", "", "", 0, 1, ""],
    ]
    path = write_xlsx(tmp_path / "m.xlsx", [["notes"], ["of the ward"]], table)
    first, second, third = read_manifest(path)
    assert (first.case_id, first.age, first.labels, first.row) == ("7", 61.5, ("Mass",), 2)
    assert (second.age, second.labels, second.unknown_labels) == (67, (), ("Effusion",))
    assert (third.labels, third.row) == (("Effusion",), 5)


def test_a_spreadsheet_of_two_such_sheets_is_asked_about(tmp_path: Path) -> None:
    table = [["case_id", "path"], ["a", "1.png"]]
    with pytest.raises(ManifestError, match="2 of its sheets are such a table"):
        read_manifest(write_xlsx(tmp_path / "m.xlsx", table, table))


@pytest.mark.parametrize("cells", [("1", "0", ""), ("1.0", "0.0", "-1"), ("yes", "No", "NA")])
def test_one_column_per_label_says_what_is_unknown(
    tmp_path: Path, cells: tuple[str, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    has, has_not, unknown = cells
    content = (
        "case_id,path,Normal,Pleural effusion\n"
        f"a,1.png,{has},{has_not}\nb,2.png,{has_not},{has}\nc,3.png,{has_not},{has_not}\n"
        f"d,4.png,{has_not},{unknown}\n"
    )
    cases = read_manifest(saved(tmp_path / "m.csv", content))
    assert [case.labels for case in cases] == [("Normal",), ("Pleural effusion",), (), ()]
    assert [case.unknown_labels for case in cases] == [(), (), (), ("Pleural effusion",)]
    assert all(case.is_labelled for case in cases)
    assert "read as labels: Normal, Pleural effusion" in caplog.text


def test_rows_of_a_case_may_not_deny_what_another_says(tmp_path: Path) -> None:
    content = "case_id,path,Mass\na,1.png,1\na,2.png,0\n"
    with pytest.raises(ManifestError, match="row 3, column labels: contradicts row 2"):
        read_manifest(saved(tmp_path / "m.csv", content))


@pytest.mark.parametrize("gap", ["\u00a0", "  ", "\u200b ", " \u2009", "\ufeff "])
def test_labels_are_compared_without_spaces_and_unicode_form(tmp_path: Path, gap: str) -> None:
    other = f"Pleural{gap}effusion"
    manifest = saved(
        tmp_path / "m.csv",
        "case_id,path,labels\na,1.png,Pleural effusion;Me\u0301nie\u0300re\n"
        f"b,2.png,{other};M\u00e9ni\u00e8re\n",
    )
    first, second = read_manifest(manifest)
    assert first.labels == second.labels
    label_set = LabelSet(("Ménière", other))
    for case in read_manifest(manifest, label_set):
        assert set(case.labels) == set(label_set.names)


def test_all_faults_are_named_in_one_run(tmp_path: Path) -> None:
    content = (
        "case_id,path,modality,age,sex,split\n"
        "a,1.png,CTT,old,F,train\n,2.png,CT,4,F,test\nc,1.png,CT,5,?,tset\na,4.png,CT,6,M,train\n"
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(saved(tmp_path / "m.csv", content))
    message = str(caught.value)
    for fault in (
        "row 2, column modality: 'CTT'",
        "row 2, column age: expected years",
        "row 3, column case_id: is empty",
        "row 4, column sex: is '?'",
        "row 4, column split: is 'tset'",
        "row 4, column path: is the path of row 2 too",
        "row 5, column sex: contradicts row 2",
    ):
        assert fault in message
    assert message.count("; row ") == 6
    assert "\n" not in message


def test_of_very_many_faults_the_first_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{number},{number}.png,x\n" for number in range(50))
    with pytest.raises(ManifestError, match=r"; and 30 more$"):
        read_manifest(saved(tmp_path / "m.csv", f"case_id,path,age\n{rows}"))
