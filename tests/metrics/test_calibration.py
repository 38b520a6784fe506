"""Temperature scaling finds the temperature that was applied; reliability is what it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax
from sklearn.metrics import log_loss

from raddiag_hf.metrics import BootstrapSettings, calibration, fit_temperature, reliability
from raddiag_hf.metrics.decision_rule import choose_decision_rule
from tests.fixtures.predictions import Predictions, any_predictions


def calibrated(cases: int, classes: int, seed: int) -> Predictions:
    """Labels drawn with exactly the predicted probabilities."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1.0, 2.0, (cases, classes))
    return generator.random(logits.shape) < expit(logits), logits


@pytest.mark.parametrize("applied", [0.3, 1.0, 4.0])
def test_applied_temperature_is_found(applied: float) -> None:
    labels, logits = calibrated(cases=3000, classes=10, seed=0)
    found = fit_temperature(labels, logits * applied)
    assert found.temperature == pytest.approx(applied, rel=0.05)
    probabilities = expit(logits * applied)
    assert found.loss_before == pytest.approx(log_loss(labels.ravel(), probabilities.ravel()))
    assert found.loss_after <= found.loss_before
    assert not found.at_limit


@pytest.mark.parametrize("applied", [0.3, 1.0, 4.0])
def test_the_temperature_of_a_softmax_is_found(applied: float) -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(0.0, 2.0, (6000, 4))
    shares = softmax(scores, axis=1)
    labels = (shares.cumsum(1) > generator.random((6000, 1))).argmax(1)[:, None] == np.arange(4)
    logits = logit(softmax(scores * applied, axis=1))
    rule = choose_decision_rule(labels, logits, exclusive=True)
    assert rule.temperature == pytest.approx(applied, rel=0.05)
    assert rule.scaling is not None
    expected = log_loss(labels.argmax(1), expit(logits))
    assert rule.scaling.loss_before == pytest.approx(expected, rel=1e-4)
    calibrated = rule.calibrated(logits)
    np.testing.assert_allclose(expit(calibrated).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(rule.uncalibrated(calibrated), logits, rtol=2e-3, atol=1e-3)


def test_separable_labels_send_the_temperature_to_its_limit() -> None:
    found = fit_temperature([[1], [0]], [[1.0], [-1.0]])
    assert found.at_limit
    assert found.temperature == pytest.approx(0.01)


def test_logits_that_say_the_opposite_are_flattened() -> None:
    labels, logits = calibrated(cases=200, classes=2, seed=5)
    found = fit_temperature(labels, -logits)
    assert found.at_limit
    assert found.temperature == pytest.approx(100.0)


def test_constant_logits_are_left_as_they_are() -> None:
    assert fit_temperature([[1], [0]], np.zeros((2, 1))).temperature == 1.0


def test_loss_does_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, logits = calibrated(cases=50, classes=3, seed=1)
    whole = fit_temperature(labels, logits)
    binned = reliability(labels, logits)
    monkeypatch.setattr(calibration, "_ROWS_CELLS", 7)
    assert fit_temperature(labels, logits).loss_after == pytest.approx(whole.loss_after, rel=1e-12)
    np.testing.assert_array_equal(reliability(labels, logits).counts, binned.counts)


@settings(deadline=None)
@given(any_predictions(), st.integers(1, 20))
def test_bins_hold_what_they_say(predictions: Predictions, bins: int) -> None:
    labels, logits = predictions
    found = reliability(labels, logits, bins=bins)
    probabilities = expit(logits.astype(np.float64)).ravel()
    truth = labels.ravel()
    error = 0.0
    for index, (low, high) in enumerate(zip(found.edges[:-1], found.edges[1:], strict=True)):
        last = index == bins - 1
        inside = (probabilities >= low) & ((probabilities < high) | last)
        assert found.counts[index] == inside.sum()
        if inside.any():
            np.testing.assert_allclose(
                found.mean_probabilities[index], probabilities[inside].mean()
            )
            np.testing.assert_allclose(found.frequencies[index], truth[inside].mean())
            error += abs(probabilities[inside].sum() - truth[inside].sum()) / len(truth)
        else:
            assert np.isnan(found.frequencies[index])
    assert found.error == pytest.approx(error, abs=1e-12)


def test_bins_of_equal_count_hold_equally_many() -> None:
    labels, logits = calibrated(cases=1000, classes=2, seed=2)
    found = reliability(labels, logits - 8.0, bins=10, binning="equal_count")
    np.testing.assert_allclose(found.counts, 200, atol=1)
    assert found.edges[0] == 0.0
    assert found.edges[-1] == 1.0


def test_over_confidence_raises_the_error_and_temperature_repairs_it() -> None:
    labels, logits = calibrated(cases=2000, classes=4, seed=3)
    settings = BootstrapSettings(resamples=200)
    fair = reliability(labels, logits, bootstrap=settings)
    sure = reliability(labels, 3.0 * logits, bootstrap=settings)
    assert fair.error_interval is not None
    assert sure.error_interval is not None
    assert sure.error_interval.low > fair.error_interval.high
    repaired = 3.0 * logits / fit_temperature(labels, 3.0 * logits).temperature
    assert reliability(labels, repaired).error < 1.5 * fair.error


def test_error_interval_comes_from_drawn_cases() -> None:
    labels, logits = calibrated(cases=60, classes=3, seed=4)
    settings = BootstrapSettings(resamples=40, method="percentile")
    found = reliability(labels, logits, bootstrap=settings)
    weights = np.concatenate(list(settings.weights(60)), axis=1).astype(int)
    errors = [
        reliability(np.repeat(labels, column, axis=0), np.repeat(logits, column, axis=0)).error
        for column in weights.T
    ]
    assert found.error_interval is not None
    np.testing.assert_allclose(
        [found.error_interval.low, found.error_interval.high], np.percentile(errors, [2.5, 97.5])
    )


def test_unknown_binning_is_refused() -> None:
    with pytest.raises(ValueError, match="'equal_width' or 'equal_count', got 'wide'"):
        reliability([[1], [0]], [[1.0], [0.0]], binning="wide")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        reliability([[1], [0]], [[1.0], [0.0]], bins=0)
