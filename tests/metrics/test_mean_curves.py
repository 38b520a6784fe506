"""The mean ROC curve of a group, and its band."""

import numpy as np
from hypothesis import given, settings

from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions
from tests.fixtures.predictions import Predictions, any_predictions, long_tailed


@settings(deadline=None)
@given(any_predictions())
def test_curve_passes_through_recall_at_fpr(predictions: Predictions) -> None:
    labels, scores = predictions
    result = evaluate_predictions(labels, scores, recall_at=(0.05, 0.5))
    curve = result.roc["all"]
    for rate in (0.05, 0.5):
        (place,) = np.flatnonzero(np.isclose(curve.false_positive_rates, rate))
        expected = result.groups["all"].values[f"recall_at_fpr_{rate:g}"]
        np.testing.assert_allclose(curve.recalls[place], expected, atol=1e-12)


def test_curve_rises_to_one_and_its_area_is_the_mean_auc() -> None:
    labels, logits = long_tailed(cases=2000, classes=40, seed=0)
    result = evaluate_predictions(labels, logits)
    curve = result.roc["all"]
    assert (np.diff(curve.recalls) >= 0.0).all()
    assert curve.recalls[-1] == 1.0
    area = np.trapezoid(curve.recalls, curve.false_positive_rates)
    assert abs(area - result.groups["all"].values["auc"]) < 0.005
    assert curve.low is None


def test_band_holds_the_curve_and_agrees_with_the_recall_interval() -> None:
    labels, logits = long_tailed(cases=400, classes=20, seed=1)
    result = evaluate_predictions(
        labels, logits, groups={"head": [0, 1]}, bootstrap=BootstrapSettings(resamples=200)
    )
    curve = result.roc["head"]
    assert curve.low is not None
    assert curve.high is not None
    assert ((curve.low <= curve.recalls) & (curve.recalls <= curve.high)).all()
    assert result.intervals is not None
    (place,) = np.flatnonzero(np.isclose(curve.false_positive_rates, 0.1))
    recall = result.intervals.macro["head"]["recall_at_fpr_0.1"]
    np.testing.assert_allclose([curve.low[place], curve.high[place]], [recall.low, recall.high])


def test_group_without_evaluable_classes_has_no_curve() -> None:
    labels, logits = long_tailed(cases=50, classes=4, seed=2)
    labels[:, 3] = False
    result = evaluate_predictions(labels, logits, groups={"absent": [3]})
    assert np.isnan(result.roc["absent"].recalls).all()
