"""`raddiag dataset build`."""

import pytest
from datasets import load_dataset

from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.vocabulary import Split
from tests.fixtures.folders import contents
from tests.fixtures.killing import kill_while_writing
from tests.fixtures.publisher_files import save_picture


@pytest.fixture
def publisher(tmp_path):
    folder = tmp_path / "publisher"
    for label in ("glioma", "meningioma", "notumor", "pituitary"):
        for number in range(3):
            save_picture(folder / "Training" / label / f"Tr-{label[:2]}_{number:04d}.jpg")
        save_picture(folder / "Testing" / label / f"Te-{label[:2]}_0000.jpg")
    return folder


def test_a_public_data_set_becomes_parquet(run, publisher, tmp_path):
    output = tmp_path / "cases"
    code, out, err = run(
        "dataset", "build", "brain_tumor", "--data-dir", publisher, "--output", output
    )
    assert (code, out) == (0, "")
    loaded = load_dataset(str(output), cache_dir=str(tmp_path / "cache"))
    assert f"{len(loaded['train'])} train" in err


def test_files_are_verified_without_a_build(run, publisher):
    code, _, err = run("dataset", "build", "brain_tumor", "--data-dir", publisher, "--verify")
    assert code == 0
    assert "cases" in err


def test_a_build_killed_in_the_middle_goes_on_to_the_same_bytes(run, publisher, tmp_path):
    for label in ("glioma", "notumor"):
        for number in range(100, 160):
            path = publisher / "Training" / label / f"Tr-{label[:2]}_{number:04d}.jpg"
            save_picture(path, brightness=number, size=(900, 900))
    command = ("dataset", "build", "brain_tumor", "--data-dir", publisher, "--num-proc", "2")
    assert run(*command, "--output", tmp_path / "whole")[0] == 0
    output = tmp_path / "killed"
    kill_while_writing([*command, "--output", output], output)
    assert run(*command, "--output", output)[0] == 0
    assert contents(output) == contents(tmp_path / "whole")
    assert not (tmp_path / ".killed.incomplete").exists()


def test_pictures_of_which_none_can_be_read_are_the_inputs_fault(run, publisher, tmp_path):
    for path in publisher.rglob("*.jpg"):
        path.write_bytes(b"no picture")
    command = ("dataset", "build", "brain_tumor", "--data-dir", publisher, "--no-strict")
    code, out, err = run(*command, "--output", tmp_path / "cases")
    assert (code, out) == (2, "")
    assert "raddiag: brain_tumor: no case could be built; 16 inputs were rejected" in err
    assert not (tmp_path / "cases").exists()


def test_what_was_left_out_is_said(run, publisher, tmp_path):
    for number in (0, 1):
        (publisher / "Training" / "glioma" / f"Tr-gl_{number:04d}.jpg").write_bytes(b"no picture")
    command = ("dataset", "build", "brain_tumor", "--data-dir", publisher, "--no-strict")
    code, _, err = run(*command, "--output", tmp_path / "cases")
    assert code == 0
    assert f"left out: {publisher}/Training/glioma/Tr-gl_0000.jpg: " in err
    assert f"left out: 2 scans, of 2 cases; all are in {tmp_path}/cases/rejected.csv" in err


def test_fewer_bits_and_pixels_can_be_stored(run, publisher, tmp_path):
    command = ("dataset", "build", "brain_tumor", "--data-dir", publisher, "--max-side", "4")
    for bits in ("8", "16"):
        assert run(*command, "--bits", bits, "--output", tmp_path / bits)[0] == 0
        (batch, *_) = CaseStore.open(tmp_path / bits).iter_batches(Split.TRAIN, with_pixels=True)
        volume = batch.to_pylist()[0]["scans"][0]["volume"]
        assert (volume["dtype"], volume["shape"]) == (f"uint{bits}", [1, 4, 4])


def test_phantoms_are_verified_by_what_is_known_before_they_are_drawn(run):
    code, _, err = run("dataset", "build", "phantoms", "--verify")
    assert code == 0
    assert "1,000 cases, 1,000 patients" in err
    assert " 0 " not in err


@pytest.mark.parametrize(
    ("code", "message"),
    [("import nonexistent_library", "No module named"), ("class :", "invalid syntax")],
)
def test_a_script_that_cannot_be_imported_is_the_inputs_fault(run, tmp_path, code, message):
    script = tmp_path / "mine.py"
    script.write_text(code + "\n")
    for _ in range(2):
        code, _, err = run("dataset", "build", script, "--verify")
        assert code == 2
        assert err.startswith(f"raddiag: {script}: cannot be imported: {message}")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brain_tumour", "--verify"], "no such script; builders by name: brain_tumor"),
        (["brain_tumor", "--config", "icd11", "--verify"], "icd11"),
        (["brain_tumor", "--verify"], "data_dir"),
        (["brain_tumor", "--data-dir", "nowhere", "--verify"], "nowhere"),
        (["brain_tumor", "--verify", "--bits", "12"], "'12' is not one of"),
        (["brain_tumor"], "name either --output DIR to build, or --verify"),
    ],
)
def test_bad_input_is_answered_in_one_line(run, arguments, message):
    code, out, err = run("dataset", "build", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
