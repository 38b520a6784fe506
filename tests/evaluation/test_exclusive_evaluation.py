"""A model of exclusive labels: evaluated, reported and compared by its most probable labels."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.evaluation.breakdown import break_down
from raddiag_hf.evaluation.evaluation_comparison import compare_evaluations
from raddiag_hf.evaluation.evaluation_run import evaluate_model
from raddiag_hf.evaluation.evaluation_settings import (
    EvaluationInputError,
    EvaluationSettings,
    PredictionSettings,
)
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.evaluation.report.evaluation_report import render_evaluation_report
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.metrics import BootstrapSettings
from raddiag_hf.metrics.decision_rule import DecisionRule
from raddiag_hf.vocabulary import Split
from tests.fixtures.evaluation_data import build_case, save_evaluation_model, write_evaluation_data
from tests.fixtures.prediction_tables import make_predictions
from tests.fixtures.predictions import exclusive_predictions

SETTINGS = EvaluationSettings(
    bootstrap=BootstrapSettings(resamples=20),
    calibrate_on=Split.VALIDATION,
    store=True,
    prediction=PredictionSettings(num_workers=0),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exclusive")
    write_evaluation_data(folder / "data")
    save_evaluation_model(folder / "model", problem_type="single_label_classification")
    return folder


@pytest.fixture(scope="module")
def evaluation(folder):
    loaded = load_model(str(folder / "model"), device="cpu")
    return evaluate_model(loaded, folder / "data", "test", folder / "out", SETTINGS)


def test_metrics_and_confusion_are_those_of_the_most_probable_labels(folder, evaluation):
    table = PredictionTable.read(folder / "out" / "predictions.parquet")
    true, told = table.labels.argmax(1), table.logits.argmax(1)
    content = json.loads((folder / "out" / "metrics.json").read_text())
    assert content["confusion"]["accuracy"] == pytest.approx(accuracy_score(true, told))
    assert content["confusion"]["counts"] == confusion_matrix(true, told).tolist()
    assert "threshold" not in content["classes"]
    f1 = [f1_score(true == label, told == label) for label in range(3)]
    np.testing.assert_allclose(evaluation.result.per_class["f1"], f1)


def test_tables_and_report_say_how_labels_are_decided(folder, evaluation):
    assert not any("no thresholds" in warning for warning in evaluation.warnings)
    page = render_evaluation_report(evaluation)
    assert "Confusion" in page
    for text in (page, (folder / "out" / "table.md").read_text()):
        assert "Decisions: the most probable label of each case is predicted" in text
        assert "The most probable label is right in" in text


def test_diagnose_decides_as_the_evaluation_did(folder, evaluation):
    stored = load_model(str(folder / "model"), device="cpu")
    assert stored.model.config.decision_thresholds is None
    assert stored.model.config.decision_threshold_source == evaluation.rule.source
    for row, case_id in enumerate(evaluation.table.case_ids[:5]):
        case = build_case(int(case_id.removeprefix("case-"))).case
        scans = [one.scan for one in case.scans]
        diagnosis = diagnose_case(stored.model, stored.processor, scans)
        predicted = [one.label for one in diagnosis.findings if one.predicted]
        told = int(evaluation.table.logits[row].argmax())
        assert predicted == [evaluation.table.label_names[told]]


def test_a_comparison_decides_alike(folder, evaluation, tmp_path):
    other = load_model(
        str(
            save_evaluation_model(
                tmp_path / "second", seed=3, problem_type="single_label_classification"
            )
        ),
        device="cpu",
    )
    second = evaluate_model(other, folder / "data", "test", tmp_path / "out", SETTINGS)
    comparison = compare_evaluations(
        [folder / "out", tmp_path / "out"], bootstrap=BootstrapSettings(resamples=20)
    )
    found = comparison.paired["second"].groups["all"]["f1"]
    assert found.a == pytest.approx(second.result.groups["all"].values["f1"])
    assert found.b == pytest.approx(evaluation.result.groups["all"].values["f1"])
    assert any(note.startswith("second: Decisions: ") for note in comparison.notes)


def test_a_false_positive_rate_of_exclusive_labels_is_refused(folder, tmp_path):
    loaded = load_model(str(folder / "model"), device="cpu")
    settings = replace(SETTINGS, target_fpr=0.1)
    with pytest.raises(EvaluationInputError, match="are exclusive: the most probable label"):
        evaluate_model(loaded, folder / "data", "test", tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_normal_cases_are_those_of_which_normal_is_the_most_probable():
    present, logits = exclusive_predictions(60, 3)
    table = make_predictions(60, 3, labels=present, logits=logits)
    decided = DecisionRule(1.0, None, None, is_exclusive=True).decide(logits)
    content = break_down(table, decisions=decided).to_dict()["normal_abnormal"]
    assert content[0]["f1"] == pytest.approx(f1_score(present[:, 0], decided[:, 0]))
