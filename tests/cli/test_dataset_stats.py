"""`raddiag dataset stats`, and what all verbs of the group share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from raddiag_hf.data.store.case_writer import write_cases
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, CaseMaker


def test_numbers_and_figures_are_written(run, tmp_path):
    items = {Split.TRAIN: {str(number): number for number in range(6)}}
    write_cases(tmp_path / "cases", items, CaseMaker(), {"labels": LABELS}, card_text="# Random")
    output = tmp_path / "stats"
    code, out, err = run("dataset", "stats", tmp_path / "cases", "--output", output, "--json")
    assert code == 0
    assert json.loads(out) == json.loads((output / "statistics.json").read_text("utf-8"))
    assert json.loads(out)["scans_per_case"] == {"1": 2, "2": 2, "3": 2}
    figures = sorted(path.name for path in output.glob("*.png"))
    assert figures == ["anatomies.png", "case_sizes.png", "labels.png", "modalities.png"]
    for name in figures:
        assert str(output / name) in err
        with Image.open(output / name) as figure:
            assert figure.convert("L").getextrema() != (255, 255)


def test_labels_that_mean_normal_can_be_named(run, tmp_path):
    items = {Split.TRAIN: {str(number): number for number in range(6)}}
    write_cases(tmp_path / "cases", items, CaseMaker(), {"labels": LABELS}, card_text="# Random")
    command = ("dataset", "stats", tmp_path / "cases", "--output", tmp_path / "stats", "--json")
    _, out, _ = run(*command, "--normal", "Hip fracture")
    assert json.loads(out)["normal"]["cases"] == 4
    code, out, err = run(*command, "--normal", "Healthy")
    assert (code, out) == (2, "")
    assert err == f"raddiag: --normal Healthy: {tmp_path / 'cases'} has no such label\n"


def test_what_is_no_case_data_set_gives_no_figures(run, tmp_path):
    code, out, err = run("dataset", "stats", tmp_path, "--output", tmp_path / "stats")
    assert (code, out) == (2, "")
    assert err == f"raddiag: {tmp_path}: has no data/*.parquet\n"
    assert not (tmp_path / "stats").exists()


@pytest.mark.parametrize("verb", ["build", "import", "inspect", "stats", "push"])
def test_every_verb_explains_itself_with_an_example(run, verb):
    code, out, _ = run("dataset", verb, "--help")
    assert code == 0
    assert f"raddiag dataset {verb} " in out.split("Examples")[1]


def test_without_a_verb_the_verbs_are_shown(run):
    code, out, err = run("dataset")
    assert (code, err) == (0, "")
    assert "inspect" in out


def test_help_needs_no_torch():
    process = subprocess.run(
        [Path(sys.executable).with_name("raddiag"), "dataset", "import", "--help"],
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "raddiag_hf.cli.dataset.import_hospital" in modules
    assert modules.isdisjoint({"torch", "numpy", "pydicom", "datasets", "pyarrow", "matplotlib"})
