"""How resampled values become intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions
from raddiag_hf.metrics.bootstrap import interval
from raddiag_hf.metrics.bootstrap_settings import IntervalMethod
from raddiag_hf.metrics.confusion import count_confusion, describe_accuracy
from tests.fixtures.predictions import long_tailed


@settings(deadline=None)
@given(st.integers(0, 1000), st.sampled_from((0.5, 0.9, 0.95)), st.floats(0.0, 1.0))
def test_percentiles_are_those_of_the_defined_values(
    seed: int, confidence: float, missing: float
) -> None:
    generator = np.random.default_rng(seed)
    samples = generator.random((6, 40))
    samples[generator.random(samples.shape) < missing] = np.nan
    found = interval(samples, np.zeros(6), confidence=confidence, method="percentile")
    tail = 50.0 * (1.0 - confidence)
    for row, low, high in zip(samples, found.low, found.high, strict=True):
        defined = row[~np.isnan(row)]
        if len(defined) > 1:
            expected = np.percentile(defined, [tail, 100.0 - tail])
            np.testing.assert_allclose([low, high], expected)
        else:
            assert np.isnan([low, high]).all()


def test_centred_interval_is_moved_by_the_bias() -> None:
    samples = np.random.default_rng(0).normal(0.5, 0.01, 1000)
    plain = interval(samples, np.array(0.4), confidence=0.95, method="percentile")
    centred = interval(samples, np.array(0.4), confidence=0.95, method="centred")
    np.testing.assert_allclose(plain.bias, samples.mean() - 0.4)
    np.testing.assert_allclose(centred.low, plain.low - plain.bias)
    np.testing.assert_allclose(centred.high, plain.high - plain.bias)


def test_centred_interval_stays_within_possible_values() -> None:
    samples = np.array([0.9, 0.9, 1.0, 0.5])
    found = interval(samples, np.array(1.0), confidence=0.95, method="centred")
    assert found.high == 1.0


@settings(deadline=None)
@given(
    st.lists(st.sampled_from((0.0, 0.1, 0.5, 0.9, 1.0)) | st.floats(0.0, 1.0), min_size=1),
    st.floats(0.0, 1.0),
)
def test_a_centred_interval_contains_its_estimate_or_is_undefined(
    values: list[float], point: float
) -> None:
    found = interval(np.array(values), np.array(point), confidence=0.95, method="centred")
    if np.isnan(found.low):
        assert np.isnan(found.high)
        return
    assert found.low <= point <= found.high
    assert found.low < found.high


@pytest.mark.parametrize("method", ["centred", "percentile"])
def test_resamples_that_hardly_vary_have_no_interval(method: IntervalMethod) -> None:
    samples = np.array([0.5] * 990 + [1.0] * 10)
    found = interval(samples, np.array(0.5), confidence=0.95, method=method)
    assert np.isnan([found.low, found.high]).all()
    np.testing.assert_allclose(found.bias, 0.005)


def test_constant_predictions_have_an_auc_and_no_interval_of_it() -> None:
    labels = np.random.default_rng(0).random((60, 3)) < (0.5, 0.3, 0.1)
    found = evaluate_predictions(
        labels, np.zeros((60, 3)), bootstrap=BootstrapSettings(resamples=200)
    )
    table = found.group_table()
    assert table["auc"][-1] == 0.5
    assert (table["auc_low"][-1], table["auc_high"][-1]) == (None, None)


def test_balanced_accuracy_of_one_answer_for_all_has_no_interval() -> None:
    labels = np.repeat(np.eye(2, dtype=np.bool_), 6, axis=0)
    decisions = np.tile(np.array([True, False]), (12, 1))
    found = count_confusion(labels, decisions, BootstrapSettings()).to_dict()
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    assert (found["balanced_accuracy"], found["balanced_accuracy_low"]) == (0.5, None)
    assert describe_accuracy(found).endswith("is 50.0")


def test_percentiles_of_rare_classes_can_miss_the_estimate_and_centring_repairs_it() -> None:
    labels, logits = long_tailed(cases=400, classes=300, seed=0)
    point = evaluate_predictions(labels, logits).groups["all"].values["ap"]
    found = {}
    for method in ("percentile", "centred"):
        settings = BootstrapSettings(resamples=200, method=method)
        intervals = evaluate_predictions(labels, logits, bootstrap=settings).intervals
        assert intervals is not None
        found[method] = intervals.macro["all"]["ap"]
    assert found["percentile"].low > point
    assert found["centred"].low < point < found["centred"].high


def test_impossible_settings_are_refused() -> None:
    values, point = np.zeros(3), np.array(0.0)
    with pytest.raises(ValueError, match="confidence must lie between 0 and 1, got 95"):
        interval(values, point, confidence=95, method="centred")
    with pytest.raises(ValueError, match="got 'bca'"):
        interval(values, point, confidence=0.95, method="bca")  # type: ignore[arg-type]
