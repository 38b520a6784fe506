"""The metrics equal scikit-learn's, class by class; what cannot be computed is counted."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
    roc_curve,
)

from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions, ranking
from tests.fixtures.predictions import Predictions, any_predictions, best_f1, long_tailed

EXACT = {"rtol": 0.0, "atol": 1e-12}


def evaluable(labels: np.ndarray) -> np.ndarray:
    return np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0))


@settings(deadline=None)
@given(any_predictions())
def test_ranking_metrics_equal_scikit_learn(predictions: Predictions) -> None:
    labels, scores = predictions
    result = evaluate_predictions(labels, scores, thresholds="oracle")
    for column in evaluable(labels):
        truth, column_scores = labels[:, column], scores[:, column]
        expected = {
            "auc": roc_auc_score(truth, column_scores),
            "ap": average_precision_score(truth, column_scores),
            "f1": best_f1(truth, column_scores),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(result.per_class[name][column], value, **EXACT)


@settings(deadline=None)
@given(any_predictions(), st.sampled_from((0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 1.0)))
def test_recall_at_fpr_is_the_highest_allowed(predictions: Predictions, rate: float) -> None:
    labels, scores = predictions
    result = evaluate_predictions(labels, scores, recall_at=[rate])
    for column in evaluable(labels):
        rates, recalls, _ = roc_curve(labels[:, column], scores[:, column], drop_intermediate=False)
        assert result.per_class[f"recall_at_fpr_{rate:g}"][column] == recalls[rates <= rate].max()


@settings(deadline=None)
@given(any_predictions(), st.data())
def test_decisions_at_thresholds_equal_scikit_learn(
    predictions: Predictions, data: st.DataObject
) -> None:
    labels, logits = predictions
    probabilities = expit(logits.astype(np.float64))
    # A threshold that is exactly a case's probability is the hard one.
    thresholds = [
        data.draw(st.sampled_from([0.0, 0.5, 1.0, 1.1, *column])) for column in probabilities.T
    ]
    result = evaluate_predictions(labels, logits, thresholds=thresholds)
    for column in evaluable(labels):
        truth, predicted = labels[:, column], probabilities[:, column] >= thresholds[column]
        expected = {
            "f1": f1_score(truth, predicted),
            "mcc": matthews_corrcoef(truth, predicted),
            "acc": accuracy_score(truth, predicted),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(result.per_class[name][column], value, **EXACT)


@settings(deadline=None)
@given(any_predictions())
def test_oracle_decisions_are_those_of_the_reported_threshold(predictions: Predictions) -> None:
    labels, logits = predictions
    logits = np.clip(logits, -30.0, 30.0)
    oracle = evaluate_predictions(labels, logits, thresholds="oracle")
    known = np.nan_to_num(oracle.thresholds, nan=0.5)
    given_back = evaluate_predictions(labels, logits, thresholds=known)
    for name in ("f1", "mcc", "acc"):
        np.testing.assert_array_equal(oracle.per_class[name], given_back.per_class[name])
    assert (oracle.threshold_source, given_back.threshold_source) == ("oracle", "given")


def test_long_tailed_classes_equal_scikit_learn_across_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels, logits = long_tailed(cases=500, classes=300, seed=0)
    whole = evaluate_predictions(labels, logits, thresholds="oracle")
    monkeypatch.setattr(ranking, "_MAX_BLOCK_LEVELS", 7)
    monkeypatch.setattr(ranking, "_MAX_BLOCK_CELLS", 2000)
    in_blocks = evaluate_predictions(labels, logits, thresholds="oracle")
    for column in evaluable(labels):
        expected = roc_auc_score(labels[:, column], logits[:, column])
        np.testing.assert_allclose(whole.per_class["auc"][column], expected, **EXACT)
    for name, values in whole.per_class.items():
        np.testing.assert_array_equal(in_blocks.per_class[name], values)


def test_classes_that_cannot_be_evaluated_are_counted_and_named() -> None:
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    logits = np.array([[2.0, 1.0, 0.0], [1.0, 0.0, 0.0], [3.0, -1.0, 0.0]])
    result = evaluate_predictions(labels, logits, class_names=["seen", "absent", "everywhere"])
    assert result.classes_without_positives == ("absent",)
    assert result.classes_without_negatives == ("everywhere",)
    group = result.groups["all"]
    assert (group.evaluated, group.without_positives, group.without_negatives) == (1, 1, 1)
    np.testing.assert_array_equal(result.per_class["auc"], [1.0, np.nan, np.nan])
    assert group.values["auc"] == 1.0


def test_groups_average_their_own_classes() -> None:
    labels, logits = long_tailed(cases=200, classes=30, seed=1)
    groups = {"first": [0, 1, 2], "masked": np.arange(30) >= 3, "empty": []}
    result = evaluate_predictions(labels, logits, groups=groups)
    auc = result.per_class["auc"]
    assert list(result.groups) == ["first", "masked", "empty", "all"]
    np.testing.assert_allclose(result.groups["first"].values["auc"], auc[:3].mean())
    np.testing.assert_allclose(result.groups["masked"].values["auc"], np.nanmean(auc[3:]))
    np.testing.assert_allclose(result.groups["all"].values["auc"], np.nanmean(auc))
    assert np.isnan(result.groups["empty"].values["auc"])


def test_without_thresholds_no_decision_is_reported() -> None:
    labels, logits = long_tailed(cases=50, classes=3, seed=2)
    result = evaluate_predictions(labels, logits)
    assert "f1" not in result.metric_names
    assert result.thresholds is None
    assert result.threshold_source is None


def test_result_becomes_json_without_nan() -> None:
    labels, logits = long_tailed(cases=60, classes=40, seed=3)
    result = evaluate_predictions(
        labels,
        logits,
        thresholds=np.full(40, 0.5),
        groups={"head": [0, 1], "empty": []},
        bootstrap=BootstrapSettings(resamples=20),
    )
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["bootstrap"]["resamples"] == 20
    assert found["groups"]["group"] == ["head", "empty", "all"]
    assert {len(column) for column in found["groups"].values()} == {3}
    assert {len(column) for column in found["classes"].values()} == {40}
    assert {"auc", "auc_low", "auc_high", "undefined_resamples"} <= found["classes"].keys()
    assert found["roc"]["head"]["low"] is not None


def test_undefined_values_raise_no_warning() -> None:
    labels = np.array([[1, 0], [0, 0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate_predictions(
            labels,
            np.zeros((2, 2)),
            thresholds="oracle",
            bootstrap=BootstrapSettings(resamples=30),
        ).to_dict()
    assert found["classes"]["auc"] == [0.5, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [[1, 2], [0, 1]]}, "case 0, class 1 has 2"),
        ({"labels": [[1, -1], [0, 1]]}, "case 0, class 1 has -1"),
        ({"labels": [1, 0]}, "labels have shape"),
        ({"logits": [[0.0, np.nan], [1.0, 2.0]]}, "case 0, class 1 has nan"),
        ({"logits": [[0.0, 1.0], [np.inf, 2.0]]}, "case 1, class 0 has inf"),
        ({"logits": [[0.0, 1.0, 2.0]]}, "scores"),
        ({"labels": np.empty((0, 2)), "logits": np.empty((0, 2))}, "cases"),
        ({"thresholds": [0.5]}, "thresholds must be 2 numbers"),
        ({"thresholds": [0.5, np.nan]}, "1 NaN"),
        ({"thresholds": "best"}, "'oracle' or numbers"),
        ({"mode": "paper"}, "'standard' or 'official'"),
        ({"mode": "official", "thresholds": [0.5, 0.5]}, "takes no thresholds"),
        ({"mode": "official", "bootstrap": BootstrapSettings()}, "or bootstrap"),
        ({"class_names": ["one"]}, "1 class_names"),
        ({"groups": {"head": [0, 2]}}, "group 'head'"),
        ({"groups": {"head": [0, 0]}}, "once"),
        ({"groups": {"head": [True]}}, "mask of group 'head'"),
    ],
)
def test_malformed_input_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    arguments = {"labels": [[1, 0], [0, 1]], "logits": [[1.0, 0.0], [0.0, 1.0]]} | change
    with pytest.raises(ValueError, match=message):
        evaluate_predictions(**arguments)
