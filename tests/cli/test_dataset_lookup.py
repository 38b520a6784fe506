"""`raddiag dataset lookup`: whoever holds key and source finds their cases again."""

import json

import pyarrow.parquet as pq
import pytest

from raddiag_hf.data.store.rejection import read_rejections
from tests.cli.test_dataset_import import write_manifest
from tests.fixtures.dicom_files import numbered_slices, write_series


@pytest.fixture
def imported(run, tmp_path):
    """A manifest of six cases, the third of which is broken, its import and its key."""
    manifest = write_manifest(tmp_path, 6)
    (tmp_path / "2.npy").write_bytes(b"broken")
    assert run("dataset", "import", manifest, "-o", tmp_path / "cases")[0] == 0
    return manifest, tmp_path / "cases", tmp_path / "cases.key"


def rows_of(output):
    return [
        row
        for path in (output / "data").glob("*.parquet")
        for row in pq.read_table(path, columns=["case_id", "patient_id"]).to_pylist()
    ]


def test_every_case_is_found_again(run, imported):
    manifest, output, key = imported
    code, out, _ = run("dataset", "lookup", manifest, "--key", key, "--json")
    assert code == 0
    found = {one["pseudonym"]: one for one in json.loads(out)}
    assert {row["case_id"] for row in rows_of(output)} < found.keys()
    assert sorted(one["original"] for one in found.values()) == [f"case {n}" for n in range(6)]
    assert {one["rows"][0] - 2 for one in found.values()} == set(range(6))


def test_a_patient_and_a_rejected_file_are_found_by_name(run, imported):
    manifest, output, key = imported
    patient = rows_of(output)[0]["patient_id"]
    (rejection,) = read_rejections(output / "rejected.csv")
    code, out, _ = run("dataset", "lookup", manifest, patient, rejection.path, "--key", key)
    assert code == 0
    first, second = out.splitlines()
    assert first.startswith(f"{patient}: patient ")
    assert second == f"{rejection.path}: 2.npy: {manifest.parent / '2.npy'}"


def test_studies_of_a_folder_are_found(run, tmp_path):
    archive = tmp_path / "archive"
    write_series(archive / "ct", numbered_slices(3), StudyInstanceUID="1.2.3", PatientID="P1")
    assert run("dataset", "import", archive, "-o", tmp_path / "cases")[0] == 0
    (path,) = (tmp_path / "cases" / "data").glob("*.parquet")
    study = pq.read_table(path).to_pylist()[0]["scans"][0]["study"]
    code, out, _ = run("dataset", "lookup", archive, study, "--key", tmp_path / "cases.key")
    assert (code, out) == (0, f"{study}: 1.2.3: {archive}\n")


def test_another_key_tells_nothing(run, imported, tmp_path):
    manifest, output, _ = imported
    run("dataset", "import", manifest, "-o", tmp_path / "other")
    case = rows_of(output)[0]["case_id"]
    code, out, err = run("dataset", "lookup", manifest, case, "--key", tmp_path / "other.key")
    assert (code, out) == (2, "")
    assert f"{case} is no pseudonym of it by this key" in err
    assert "case 0" not in err


def test_an_empty_key_file_says_what_can_be_done(run, imported, tmp_path):
    (tmp_path / "empty.key").touch()
    code, _, err = run("dataset", "lookup", imported[0], "--key", tmp_path / "empty.key")
    assert code == 2
    assert "it is empty, as a full disk leaves it: remove it" in err
