"""The official mode prints what the reference implementation prints."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from safetensors.numpy import load_file
from sklearn.metrics import precision_recall_curve, roc_curve

from raddiag_hf.metrics import evaluate_predictions
from raddiag_hf.metrics.reference_metrics import official_scores
from tests.fixtures.predictions import Predictions, any_predictions, long_tailed

RATES = (0.01, 0.05, 0.1, 0.2, 0.5)


@pytest.mark.parametrize("name", ["a400x60", "b400x60_ties", "c97x30"])
def test_reference_numbers_are_reproduced(shared_dir: Path, name: str) -> None:
    arrays = load_file(shared_dir / "parity" / "metrics_fixtures.safetensors")
    expected = json.loads((shared_dir / "parity" / "metrics_fixtures.json").read_text())[name]
    result = evaluate_predictions(
        arrays[f"{name}/labels"], arrays[f"{name}/logits"], mode="official", recall_at=RATES
    )
    means = result.groups["all"]
    assert means.evaluated == expected["n_classes_used"]
    theirs = {"auc": "mAUC", "ap": "mAP_CW", "f1": "mF1max", "mcc": "mMCC"}
    theirs |= {f"recall_at_fpr_{rate:g}": f"mR@F{rate}" for rate in RATES}
    for ours, key in theirs.items():
        assert means.values[ours] == pytest.approx(expected[key], rel=0.0, abs=1e-12), ours

    for column, pair in enumerate(expected["per_class"]["f1max_mcc"]):
        ours = (result.per_class["f1"][column], result.per_class["mcc"][column])
        np.testing.assert_allclose(ours, pair or (np.nan, np.nan), rtol=0.0, atol=1e-12)
    for column, recalls in enumerate(expected["per_class"]["recall_at_fpr"]):
        for rate in RATES:
            theirs_here = np.nan if recalls is None else recalls[str(rate)]
            np.testing.assert_allclose(
                result.per_class[f"recall_at_fpr_{rate:g}"][column], theirs_here, atol=1e-12
            )


@settings(deadline=None)
@given(any_predictions())
def test_official_decisions_follow_scikit_learn_curves(predictions: Predictions) -> None:
    labels, logits = predictions
    scores = official_scores(logits)
    result = evaluate_predictions(labels, logits, mode="official", recall_at=(0.05, 0.3))
    for column in np.flatnonzero(labels.any(axis=0) & ~labels.all(axis=0)):
        truth, column_scores = labels[:, column], scores[:, column]
        precision, recall, thresholds = precision_recall_curve(truth, column_scores)
        with np.errstate(invalid="ignore"):
            f1 = np.nan_to_num(2 * precision * recall / (precision + recall))
        assert result.thresholds is not None
        assert result.thresholds[column] == thresholds[np.argmax(f1)]
        rates, recalls, _ = roc_curve(truth, column_scores)
        for rate in (0.05, 0.3):
            nearest = recalls[np.argmin(np.abs(rates - rate))]
            assert result.per_class[f"recall_at_fpr_{rate:g}"][column] == nearest


def test_saturated_scores_tie_in_official_mode_only() -> None:
    labels = [[1], [0], [0]]
    logits = [[40.0], [30.0], [0.0]]
    assert evaluate_predictions(labels, logits).groups["all"].values["auc"] == 1.0
    official = evaluate_predictions(labels, logits, mode="official")
    assert official.groups["all"].values["auc"] == 0.75


def test_nearest_vertex_under_reports_recall_of_rare_classes() -> None:
    labels, logits = long_tailed(cases=1000, classes=100, seed=0)
    standard = evaluate_predictions(labels, logits).groups["all"].values
    official = evaluate_predictions(labels, logits, mode="official").groups["all"].values
    assert official["recall_at_fpr_0.05"] < standard["recall_at_fpr_0.05"] - 0.1
