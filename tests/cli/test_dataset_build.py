"""`raddiag dataset build`."""

import pytest
from datasets import load_dataset

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
