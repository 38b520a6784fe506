"""`raddiag dataset inspect`: what is in a data set, and what its splits share."""

import json

import pytest

from raddiag_hf.data.store.case_writer import write_cases
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, CaseMaker
from tests.fixtures.publisher_files import write_script


def write_store(folder, train, test):
    items = {
        Split.TRAIN: {str(number): number for number in train},
        Split.TEST: {str(number): number for number in test},
    }
    write_cases(folder, items, CaseMaker(), {"labels": LABELS}, card_text="# Random")
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("clean") / "cases", range(8), range(8, 12))


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """Cases 0 and 1 are of one patient."""
    return write_store(tmp_path_factory.mktemp("leaking") / "cases", [0, 2], [1, 4])


def test_json_holds_columns_splits_groups_and_leakage(run, clean):
    code, out, err = run("dataset", "inspect", clean, "--json", "--strict")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["columns"]["labels"] == "list of one of 3 classes"
    assert found["splits"]["train"] == {"cases": 8, "patients": 4, "scans": 15, "slices": 45}
    assert found["splits"]["test"] == {"cases": 4, "patients": 2, "scans": 9, "slices": 27}
    assert found["labels"]["labels"]["groups"] == {"head": 0, "body": 0, "tail": 3}
    assert found["labels"]["labels"]["groups_of_whole"] == {"head": 0, "body": 0, "tail": 3}
    assert found["labels"]["labels"]["fingerprint"] == LABELS.fingerprint
    assert found["leakage"] == {"scans": 24, "shared_patients": {}, "shared_images": []}


def test_people_get_tables(run, clean):
    code, out, _ = run("dataset", "inspect", clean)
    assert code == 0
    assert "by training cases: head 0, body 0, tail 3" in out
    assert "by cases of all splits: head 0, body 0, tail 3" in out
    assert "No patient and no identical image of 24 scans is in two splits." in out


def test_leakage_is_reported_and_fails_only_when_strict(run, leaking):
    code, out, err = run("dataset", "inspect", leaking)
    assert (code, err) == (0, "")
    assert "patient-0" in out
    code, out, err = run("dataset", "inspect", leaking, "--strict", "--json")
    assert code == 2
    assert list(json.loads(out)["leakage"]["shared_patients"]) == ["patient-0"]
    assert err.count("\n") == 1
    assert "1 patients and 0 groups of scans" in err


def test_what_is_no_case_data_set_is_answered_in_one_line(run, tmp_path):
    for place, message in (
        (tmp_path, "has no data/*.parquet"),
        (tmp_path / "absent", "no such folder; expected one"),
    ):
        code, out, err = run("dataset", "inspect", place)
        assert (code, out) == (2, "")
        assert err.startswith(f"raddiag: {place}: {message}")
        assert err.count("\n") == 1


def test_a_builder_is_inspected_before_anything_is_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    script = write_script(tmp_path)
    code, out, err = run(
        "dataset", "inspect", script, "--data-dir", tmp_path / "pictures", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    assert sum(split["cases"] for split in found["splits"].values()) == 10
    assert found["labels"]["labels"]["labels"] == 2


def test_a_damaged_shard_is_the_fault_of_the_data(run, tmp_path):
    folder = write_store(tmp_path / "cases", [0, 1], [2, 3])
    shard = next(folder.glob("data/test-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:100])
    code, out, err = run("dataset", "inspect", folder)
    assert (code, out) == (2, "")
    assert err.startswith(f"raddiag: {shard}: is damaged: ")
    assert err.count("\n") == 1
