"""DeLong's variance agrees with the definition, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions
from raddiag_hf.metrics.delong import delong_intervals, delong_test
from tests.fixtures.predictions import Predictions, any_predictions, long_tailed


def plain_placements(truth: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare every positive with every negative."""
    positives, negatives = scores[truth], scores[~truth]
    wins = np.empty((len(positives), len(negatives)))
    for row, positive in enumerate(positives):
        for column, negative in enumerate(negatives):
            wins[row, column] = 0.5 if positive == negative else float(positive > negative)
    return wins.mean(axis=1), wins.mean(axis=0)


@settings(deadline=None)
@given(any_predictions())
def test_intervals_follow_from_all_pairs(predictions: Predictions) -> None:
    labels, scores = predictions
    found = delong_intervals(labels, scores, confidence=0.9)
    for column in range(labels.shape[1]):
        truth = labels[:, column]
        if min(truth.sum(), (~truth).sum()) < 2:
            assert np.isnan(found.standard_error[column])
            continue
        of_positives, of_negatives = plain_placements(truth, scores[:, column])
        variance = np.var(of_positives, ddof=1) / truth.sum()
        variance += np.var(of_negatives, ddof=1) / (~truth).sum()
        auc = roc_auc_score(truth, scores[:, column])
        margin = norm.ppf(0.95) * np.sqrt(variance)
        np.testing.assert_allclose(found.auc[column], auc, atol=1e-12)
        np.testing.assert_allclose(found.standard_error[column] ** 2, variance, atol=1e-12)
        np.testing.assert_allclose(found.low[column], max(0.0, auc - margin), atol=1e-6)
        np.testing.assert_allclose(found.high[column], min(1.0, auc + margin), atol=1e-6)


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from((None, 0.5)))
def test_paired_test_follows_from_all_pairs(seed: int, tie_width: float | None) -> None:
    generator = np.random.default_rng(seed)
    truth = np.arange(30) < generator.integers(3, 27)
    first = generator.standard_normal(30) + truth
    second = 0.7 * first + generator.standard_normal(30)
    if tie_width is not None:
        first, second = (np.round(scores / tie_width) for scores in (first, second))
    found = delong_test(truth, first, second)
    components_a, components_b = (plain_placements(truth, scores) for scores in (first, second))
    covariances = [np.cov(a, b) / len(a) for a, b in zip(components_a, components_b, strict=True)]
    contrast = np.array([1.0, -1.0])
    variance = contrast @ (covariances[0] + covariances[1]) @ contrast
    np.testing.assert_allclose(found.standard_error**2, variance, atol=1e-12)
    np.testing.assert_allclose(found.auc_a, roc_auc_score(truth, first), atol=1e-12)
    np.testing.assert_allclose(found.auc_b, roc_auc_score(truth, second), atol=1e-12)
    if variance > 1e-9:
        expected = 2 * norm.sf(abs(found.difference) / np.sqrt(variance))
        np.testing.assert_allclose(found.p_value, expected, rtol=1e-6)
        assert found.low < found.difference < found.high


def test_interval_agrees_with_the_bootstrap_of_a_frequent_class() -> None:
    labels, logits = long_tailed(cases=600, classes=1, seed=0)
    analytic = delong_intervals(labels, logits)
    resampled = evaluate_predictions(labels, logits, bootstrap=BootstrapSettings(resamples=2000))
    assert resampled.intervals is not None
    drawn = resampled.intervals.per_class["auc"]
    np.testing.assert_allclose([analytic.low, analytic.high], [drawn.low, drawn.high], atol=0.01)


def test_equal_models_do_not_differ() -> None:
    labels, logits = long_tailed(cases=100, classes=1, seed=1)
    found = delong_test(labels[:, 0], logits[:, 0], logits[:, 0])
    assert found.difference == 0.0
    assert np.isnan(found.p_value)


def test_one_positive_is_too_few_to_test() -> None:
    with pytest.raises(ValueError, match="two positives and two negatives, got 1 and 3"):
        delong_test([1, 0, 0, 0], [0.9, 0.1, 0.2, 0.3], [0.8, 0.1, 0.2, 0.3])
