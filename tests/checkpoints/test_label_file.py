"""Label files: names in column order, or one error that names the file."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.checkpoints.label_file import LabelFileError, read_label_file
from raddiag_hf.labels.label_set import LabelSet

NAMES = ("Normal", "Segond fracture", "Meniscal tear")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.json", json.dumps({"Segond fracture": 1, "Meniscal tear": 2, "Normal": 0})),
        ("labels.json", json.dumps(NAMES)),
        ("labels.json", "\ufeff" + json.dumps(NAMES)),
        ("labels.json", LabelSet(NAMES).to_json()),
        ("labels.txt", "Normal\r\n  Segond fracture\n\nMeniscal tear\n"),
    ],
)
def test_every_form_gives_names_in_column_order(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_label_file(path).names == NAMES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"Normal": 0, "Cyst": 2}', "expected 1, found 2 for 'Cyst'"),
        ('{"Normal": 0, "Cyst": 0}', "found 0 for 'Cyst'"),
        ('{"Normal": 0, "Normal": 1}', "names 'Normal' twice"),
        ('["Normal", "normal"]', "same label twice"),
        ('{"Normal": "0"}', "expected an object name -> column"),
        ('{"Normal": true}', "expected an object name -> column"),
        ('["Normal", "Gout\\ud800"]', "label 1 is 'Gout.ud800', expected a name that can be read"),
        ('["\\u200b"]', "label 0 is '.u200b', expected a name that can be read"),
        ('["Normal", 1]', "expected an object name -> column"),
        ("3", "expected an object name -> column"),
        ("{}", "at least one label"),
        ("[", "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, text, found):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(LabelFileError, match=found) as caught:
        read_label_file(path)
    assert str(caught.value).startswith(str(path))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(LabelFileError, match="is not text"):
        read_label_file(path)


@pytest.mark.parametrize("name", ["labels.csv", "labels.TSV"])
def test_a_table_is_refused_since_its_header_would_be_a_label(tmp_path, name):
    path = tmp_path / name
    path.write_text("name,code\nGout,M10\n")
    with pytest.raises(LabelFileError, match=r"is a table; expected JSON .* or one label per line"):
        read_label_file(path)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_anything_else_is_refused_with_that_error_only(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("labels") / "labels.json"
    path.write_bytes(content)
    with contextlib.suppress(LabelFileError):
        assert len(read_label_file(path)) >= 1


def test_the_authors_categories_are_named_by_code_and_meaning(tmp_path):
    path = tmp_path / "icd10_label_dict.json"
    path.write_text(json.dumps({"Normal": 0, "J93": 1, "A00": 2, "A99X": 3}))
    beside = tmp_path / "icd10_desription.json"
    beside.write_text(json.dumps({"Normal": "normal", "J93": "Air  in the\npleura"}))
    label_set = read_label_file(path)
    assert label_set.names == ("Normal", "J93 Air in the pleura", "A00 Cholera", "A99X")
    assert label_set.codes == ("", "J93", "A00", "")
    assert label_set.texts == ("Normal", "Air in the pleura", "Cholera", "A99X")
    path.rename(tmp_path / "ours.json")  # of other files, names are what they say
    assert read_label_file(tmp_path / "ours.json").names == ("Normal", "J93", "A00", "A99X")


@pytest.mark.parametrize("text", ["[", "[]", '{"J93": 3}'])
def test_bad_meanings_are_refused_by_their_own_name(tmp_path, text):
    (tmp_path / "icd10_label_dict.json").write_text('["Normal", "J93"]')
    (tmp_path / "icd10_desription.json").write_text(text)
    with pytest.raises(LabelFileError, match=r"icd10_desription\.json: (is not JSON|expected an)"):
        read_label_file(tmp_path / "icd10_label_dict.json")


def test_the_authors_file_is_read(shared_dir):
    labels = read_label_file(shared_dir / "data/rp3d_diag/disorder_label_dict.json")
    assert (len(labels), labels.names[0]) == (5569, "Normal")
