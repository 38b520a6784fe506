"""`raddiag dataset build`."""

import pytest
from datasets import load_dataset

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brain_tumour", "--verify"], "no such script; builders by name: brain_tumor"),
        (["brain_tumor", "--config", "icd11", "--verify"], "icd11"),
        (["brain_tumor", "--verify"], "data_dir"),
        (["brain_tumor", "--data-dir", "nowhere", "--verify"], "nowhere"),
        (["brain_tumor"], "name either --output DIR to build, or --verify"),
    ],
)
def test_bad_input_is_answered_in_one_line(run, arguments, message):
    code, out, err = run("dataset", "build", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
