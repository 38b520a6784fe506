"""`raddiag dataset import` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from raddiag_hf.data.store.rejection import read_rejections
from tests.fixtures.folders import contents
from tests.fixtures.killing import kill_while_writing


def write_manifest(folder: Path, count: int, size: int = 8, depth: int = 2) -> Path:
    """A manifest of ``count`` cases, two to a patient, each one array."""
    rows = ["case_id,path,patient_id,modality,labels"]
    random = np.random.default_rng(0)
    for number in range(count):
        values = random.normal(size=(size, size, depth)).astype(np.float32)
        np.save(folder / f"{number}.npy", values)
        label = "Normal" if number % 3 else "Nodule;Effusion"
        rows.append(f"case {number},{number}.npy,patient {number // 2},CT,{label}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


def test_an_import_answers_with_its_counts_and_says_where_the_key_is(run, tmp_path):
    manifest, output = write_manifest(tmp_path, 20), tmp_path / "cases"
    code, out, err = run("dataset", "import", manifest, "--output", output, "--json")
    key = tmp_path / "cases.key"
    assert code == 0
    summary = json.loads(out)
    assert summary | {"splits": {}} == {
        "output": str(output),
        "key": str(key),
        "cases": 20,
        "splits": {},
        "rejected": {},
        "unlabelled": 0,
        "partly_labelled": 0,
        "near_duplicates": None,
    }
    assert sum(summary["splits"].values()) == 20
    assert f"New key: {key}. Keep it" in err
    assert key.stat().st_mode & 0o777 == 0o600


def test_the_same_import_again_changes_nothing(run, tmp_path):
    manifest, output = write_manifest(tmp_path, 3), tmp_path / "cases"
    arguments = ("dataset", "import", manifest, "-o", output, "--key", tmp_path / "my.key")
    assert run(*arguments)[0] == 0
    before = contents(output)
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith(f"{output}: 3 cases (")
    assert contents(output) == before


def test_what_was_left_out_is_named_to_the_user_and_not_in_the_data_set(run, tmp_path):
    manifest = write_manifest(tmp_path, 12)
    (tmp_path / "3.npy").write_bytes((tmp_path / "3.npy").read_bytes()[:-20])
    (tmp_path / "5.npy").write_text("no image at all")
    output = tmp_path / "cases"
    code, out, err = run("dataset", "import", manifest, "-o", output, "--json")
    assert code == 0
    assert json.loads(out)["rejected"] == {"corrupt": 1, "unknown_format": 1}
    assert f"left out: row 5: {tmp_path / '3.npy'}: corrupt: is damaged" in err
    assert f"left out: row 7: {tmp_path / '5.npy'}: unknown_format: is no DICOM" in err
    rejected = read_rejections(output / "rejected.csv")
    assert {one.row for one in rejected} == {5, 7}
    assert all(".npy" not in one.path for one in rejected)


def test_of_many_files_that_never_were_scans_a_few_are_named(run, tmp_path):
    manifest = write_manifest(tmp_path, 12)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "scan.npy").write_bytes((tmp_path / "0.npy").read_bytes())
    for number in range(20):
        (tmp_path / "study" / f"{number}.txt").write_text("a report")
    with manifest.open("a") as file:
        file.write("last,study,,CT,\n")
    code, _, err = run("dataset", "import", manifest, "-o", tmp_path / "cases")
    assert code == 0
    assert err.count(".txt: unknown_format") == 5
    assert "left out: 15 more files: unknown_format" in err


def test_bits_decide_how_many_values_a_voxel_has(run, tmp_path):
    manifest = write_manifest(tmp_path, 2, size=32)
    for bits in (8, 16):
        output = tmp_path / f"{bits}"
        assert run("dataset", "import", manifest, "-o", output, "--bits", str(bits))[0] == 0
        rows = pq.read_table(next((output / "data").iterdir())).to_pylist()
        assert rows[0]["scans"][0]["volume"]["dtype"] == f"uint{bits}"
    assert run("dataset", "import", manifest, "-o", tmp_path / "9", "--bits", "9")[0] == 2


def test_every_file_that_the_manifest_lists_is_named(run, tmp_path):
    manifest = write_manifest(tmp_path, 12)
    for number in range(1, 9):
        (tmp_path / f"{number}.npy").write_text("no image at all")
    code, _, err = run("dataset", "import", manifest, "-o", tmp_path / "cases")
    assert code == 0
    assert err.count(".npy: unknown_format") == 8
    assert "more files" not in err


def test_strict_stops_with_one_line(run, tmp_path):
    manifest = write_manifest(tmp_path, 2)
    (tmp_path / "1.npy").write_text("no image at all")
    code, out, err = run("dataset", "import", manifest, "-o", tmp_path / "cases", "--strict")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f"raddiag: {tmp_path / '1.npy'}: row 3: gives no scan"
    assert not (tmp_path / "cases").exists()


@pytest.mark.parametrize(
    ("prepare", "options", "message"),
    [
        (lambda folder: (folder / "manifest.csv").unlink(), [], "there is no such manifest"),
        (lambda folder: (folder / "l.txt").write_text("Normal"), ["--labels", "l.txt"], "row 2, c"),
        (lambda folder: (folder / "manifest.csv").write_text("a,b"), [], "has no column case_id"),
        (lambda folder: (folder / "k").write_text("x"), ["--key", "k"], "k: is not a key file"),
        (lambda folder: None, ["--key", "cases/key"], "keep the key apart from it"),
        (
            lambda folder: ((folder / "cases").mkdir(), (folder / "cases" / "x").touch()),
            [],
            "there is no such key, but cases was made with one",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_line(run, tmp_path, monkeypatch, prepare, options, message):
    monkeypatch.chdir(tmp_path)
    write_manifest(tmp_path, 2)
    prepare(tmp_path)
    code, out, err = run("dataset", "import", "manifest.csv", "-o", "cases", *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (tmp_path / "cases.key").exists()


def test_an_import_killed_in_the_middle_goes_on_to_the_same_bytes(run, tmp_path):
    manifest = write_manifest(tmp_path, 64, size=160, depth=10)
    key = tmp_path / "my.key"
    assert run("dataset", "import", manifest, "-o", tmp_path / "whole", "--key", key)[0] == 0
    output = tmp_path / "killed"
    command = ["dataset", "import", manifest, "-o", output, "--key", key]
    kill_while_writing(command, output)
    assert run(*command)[0] == 0
    assert contents(output) == contents(tmp_path / "whole")
