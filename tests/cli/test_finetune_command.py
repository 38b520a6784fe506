"""`raddiag finetune`."""

import json
import os
import subprocess
import sys

import pytest

from tests.fixtures.finetuning import write_visible_store
from tests.fixtures.folders import contents
from tests.fixtures.hub_standin import HubStandIn

COMMON = ("--device", "cpu", "--workers", "0")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    write_visible_store(folder)
    return folder


def test_a_probe_can_diagnose_after_one_command(run, model_folder, cases, scan_folder, tmp_path):
    output = tmp_path / "ours"
    arguments = ("finetune", "--model", model_folder, "--dataset", cases, "--method")
    code, out, err = run(*arguments, "linear-probe", "--output", output, *COMMON)
    assert code == 0, err
    assert "30 test cases" in out
    assert "AUC" in out
    assert "Extracting features" in err
    assert "not a medical device" in (output / "README.md").read_text()
    code, out, _ = run("diagnose", scan_folder / "ct.dcm", "--model", output, "--json")
    assert code == 0
    findings = json.loads(out)["findings"]
    assert {finding["label"] for finding in findings} == {"Normal", "Pneumothorax", "Hip fracture"}


def test_adapters_can_diagnose_after_one_command(run, model_folder, cases, scan_folder, tmp_path):
    output = tmp_path / "adapters"
    code, out, err = run(
        "finetune", "-m", model_folder, "-d", cases, "--method", "lora", "-o", output,
        "--epochs", "1", "--json", *COMMON,
    )  # fmt: skip
    assert code == 0, err
    assert json.loads(out)["method"] == "lora"
    code, _, _ = run("diagnose", scan_folder / "ct.dcm", "--model", output, "--json")
    assert code == 0


def test_two_starts_are_refused_and_the_same_twice_is_one(run, cases, tmp_path):
    arguments = ("finetune", "-d", cases, "-o", tmp_path / "out", *COMMON)
    code, _, err = run(*arguments, "--start", "scratch", "--model", "backbone:one/two")
    assert code == 2
    assert "--model names two starts, scratch and backbone:one/two" in err
    code, _, err = run(*arguments, "--start", "nonsense", "-m", "nonsense")
    assert code == 2
    assert "nonsense: " in err
    assert "backbone:" in err
    assert not (tmp_path / "out").exists()


def test_a_probe_learns_cases_of_the_hub(model_folder, cases, tmp_path):
    command = [sys.executable, "-m", "raddiag_hf.cli.main", "finetune", "--json", *COMMON]
    command += ["-m", str(model_folder), "-d", "alice/cases", "--method", "linear-probe"]
    with HubStandIn() as hub:
        hub.add("dataset", "alice/cases", contents(cases))
        done = subprocess.run(
            [*command, "--output", str(tmp_path / "ours")],
            env=os.environ | hub.environment(cache=tmp_path / "hub"),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["num_cases"] == 30


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--dataset": "nowhere"}, "nowhere: no such folder"),
        ({"--model": "./nowhere"}, "nowhere"),
        ({"--method": "lora", "--learning-rate": "-1"}, "learning_rate is -1.0"),
        (
            {"--method": "lora", "--train-batch-norm": None},
            "train_batch_norm is True, but the method",
        ),
        ({"--head": "knowledge"}, "the method linear-probe learns its own head"),
        ({"--label-column": "icd10"}, "no label column 'icd10'; expected one of labels"),
        ({"--device": "gpu"}, "--device gpu: expected cpu, cuda"),
        ({"--method": "magic"}, "magic"),
    ],
)
def test_bad_input_is_answered_in_one_line(run, model_folder, cases, tmp_path, changes, message):
    options = {"--model": model_folder, "--dataset": cases, "--method": "linear-probe"}
    options |= {"--output": tmp_path / "out", "--device": "cpu"} | changes
    arguments = [part for option in options.items() for part in option if part is not None]
    code, out, err = run("finetune", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "out").exists()


def test_help_has_examples(run):
    code, out, _ = run("finetune", "--help")
    assert code == 0
    assert "linear-probe" in out
    assert "raddiag finetune -m" in out
