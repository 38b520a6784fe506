"""Mean precision-recall curves: the area is the average precision, bands come from resamples."""

import numpy as np
import pytest
from hypothesis import given
from sklearn.metrics import average_precision_score, precision_recall_curve

from raddiag_hf.metrics import BootstrapSettings
from raddiag_hf.metrics.mean_curves import RECALL_POINTS, mean_precision_recall
from tests.fixtures.predictions import any_predictions, long_tailed


def by_scikit_learn(labels, scores, recall):
    """Precision at the highest threshold whose recall is at least ``recall``."""
    precisions, recalls, _ = precision_recall_curve(labels, scores)
    reaching = np.flatnonzero(recalls >= recall - 1e-12)
    return precisions[reaching[-1]]


@given(any_predictions())
def test_each_point_is_the_mean_precision_of_the_classes_at_that_recall(predictions):
    labels, scores = predictions
    curve = mean_precision_recall(labels, scores)["all"]
    defined = [c for c in range(labels.shape[1]) if 0 < labels[:, c].sum() < len(labels)]
    if not defined:
        assert np.isnan(curve.precisions).all()
        return
    for point in (1, 40, 100, RECALL_POINTS):
        recall = point / RECALL_POINTS
        expected = np.mean([by_scikit_learn(labels[:, c], scores[:, c], recall) for c in defined])
        assert curve.precisions[point - 1] == pytest.approx(expected)


def test_the_area_under_the_curve_is_the_average_precision():
    labels, scores = long_tailed(400, 3, seed=1)
    labels[:, 0] = np.arange(400) < 40  # a number that divides the grid
    area = mean_precision_recall(labels[:, :1], scores[:, :1])["all"].precisions.mean()
    assert area == pytest.approx(average_precision_score(labels[:, 0], scores[:, 0]))


def test_a_group_is_the_mean_of_its_own_classes():
    labels, scores = long_tailed(200, 5, seed=2)
    curves = mean_precision_recall(labels, scores, groups={"some": [1, 3]})
    alone = mean_precision_recall(labels[:, [1, 3]], scores[:, [1, 3]])["all"]
    np.testing.assert_allclose(curves["some"].precisions, alone.precisions)
    assert list(curves) == ["some", "all"]


def test_the_band_encloses_the_curve_and_is_wider_with_fewer_cases():
    widths = []
    for cases in (60, 600):
        labels, scores = long_tailed(cases, 4, seed=3)
        settings = BootstrapSettings(resamples=60)
        curve = mean_precision_recall(labels, scores, bootstrap=settings)["all"]
        assert (curve.low <= curve.precisions + 1e-9).mean() > 0.95
        assert (curve.high >= curve.precisions - 1e-9).mean() > 0.95
        widths.append((curve.high - curve.low).mean())
    assert widths[0] > widths[1]
