"""`raddiag evaluate`: what is written, printed and refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.labels.label_set import LabelSet
from tests.fixtures.evaluation_data import save_evaluation_model, write_evaluation_data

QUICK = (
    *("--resamples", "20", "--head-from", "4", "--tail-below", "2", "--num-workers", "0"),
    "--no-report",
)
CALIBRATED = ("--calibrate-on", "validation", "--min-positives", "5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_evaluation_data(folder / "data")
    save_evaluation_model(folder / "model")
    return folder


@pytest.fixture
def evaluate(run, folder):
    """Evaluate the model on the data; return exit code, standard output and standard error."""

    def evaluate(output, *options, model="model"):
        return run(
            *("evaluate", "--model", folder / model, "--dataset", folder / "data"),
            *("--output", output, "--device", "cpu", *QUICK, *options),
        )

    return evaluate


def test_metrics_predictions_tables_and_report_are_written(tmp_path, evaluate):
    code, out, err = evaluate(tmp_path / "out", *CALIBRATED, "--report")
    assert code == 0, err
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "calibration_predictions.parquet",
        "figures",
        "metrics.json",
        "predictions.parquet",
        "report.html",
        "table.md",
        "table.tex",
    }
    for word in ("Head", "3 of 3", "AUC", "R@0.05", "MCC", "Lower limb", "Thresholds: highest F1"):
        assert word in out


def test_a_program_reads_json_and_nothing_else(tmp_path, evaluate):
    code, out, _ = evaluate(tmp_path / "out", "--json")
    assert code == 0
    summary = json.loads(out)
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert summary["groups"] == written["groups"]
    assert summary["metrics_file"] == str(tmp_path / "out" / "metrics.json")
    assert summary["warnings"][0].startswith("The model carries no thresholds")


def test_stored_thresholds_are_found_by_the_next_evaluation(tmp_path, run, folder, evaluate):
    save_evaluation_model(tmp_path / "model")
    code, _, err = evaluate(tmp_path / "a", *CALIBRATED, "--store", model=tmp_path / "model")
    assert code == 0, err
    stored = load_model(str(tmp_path / "model"), device="cpu").model.config
    assert len(stored.decision_thresholds) == 3
    assert evaluate(tmp_path / "b", model=tmp_path / "model")[0] == 0
    first, second = (
        json.loads((tmp_path / name / "metrics.json").read_text())["classes"] for name in "ab"
    )
    assert first == second


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--calibrate-on", "test"), "validation cases, never on test cases"),
        (("--calibrate-on", "tset"), "'tset' is not one of 'train', 'validation', 'test'"),
        ((*CALIBRATED, "--split", "validation"), "validation cases that they are evaluated on"),
        (("--store",), "needs the split to choose them on"),
        (("--split", "tset"), "has no split 'tset', only train, validation, test"),
        (("--label-column", "icd10"), "no label column 'icd10'"),
        (("--target-fpr", "2"), "target_fpr is 2.0, expected more than 0 and less than 1"),
        (("--head-from", "1"), "tail_below is 2, more than head_from 1"),
        (("--dataset", "absent"), "absent"),
        (("--output", "/proc/version/out"), "/proc/version is a file"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_one_line(tmp_path, evaluate, options, message):
    code, out, err = evaluate(tmp_path / "out", *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


def test_predictions_of_another_model_are_kept_until_overwritten(tmp_path, evaluate):
    save_evaluation_model(tmp_path / "other", seed=1)
    assert evaluate(tmp_path / "out")[0] == 0
    before = PredictionTable.read(tmp_path / "out" / "predictions.parquet")
    code, _, err = evaluate(tmp_path / "out", model=tmp_path / "other")
    assert code == 2
    assert "holds a run that differs in model" in err
    assert evaluate(tmp_path / "out", "--overwrite", model=tmp_path / "other")[0] == 0
    after = PredictionTable.read(tmp_path / "out" / "predictions.parquet")
    assert not np.allclose(after.logits, before.logits)


def test_a_model_of_other_labels_is_refused(tmp_path, evaluate):
    labels = LabelSet(("Normal", "Hip fracture", "Cholera"))
    save_evaluation_model(tmp_path / "other", labels)
    code, _, err = evaluate(tmp_path / "out", model=tmp_path / "other")
    assert code == 2
    assert "the first difference is column 1: 'Hip fracture' in the model" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option '--model'"),
        (("--model", "m"), "Missing option '--dataset'"),
        (("--model", "m", "--dataset", "d"), "Missing option '--output'"),
        (("--compare", "a.json", "b.json"), "compared by raddiag compare METRICS..."),
    ],
)
def test_incomplete_command_lines_are_answered_in_one_line(run, arguments, message):
    code, out, err = run("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_help_shows_examples(run):
    code, out, _ = run("evaluate", "--help")
    assert code == 0
    assert "raddiag evaluate -m ./model -d cases -o out --calibrate-on validation --store" in out


@pytest.mark.slow
def test_two_processes_write_what_one_does(tmp_path, folder, evaluate):
    assert evaluate(tmp_path / "one", *CALIBRATED)[0] == 0
    process = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"),
            *("--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"),
            *("--mixed_precision", "no", "--dynamo_backend", "no", "-m", "raddiag_hf.cli.main"),
            *("evaluate", "--model", folder / "model", "--dataset", folder / "data"),
            *("--output", tmp_path / "two", "--json", *QUICK, *CALIBRATED),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["num_cases"] == 40
    one, two = (
        PredictionTable.read(tmp_path / name / "predictions.parquet") for name in ("one", "two")
    )
    assert one.case_ids == two.case_ids
    np.testing.assert_array_equal(one.labels, two.labels)
    np.testing.assert_allclose(one.logits, two.logits, atol=1e-6)
    first, second = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two")
    )
    assert first["groups"]["auc"] == second["groups"]["auc"]
