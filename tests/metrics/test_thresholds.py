"""Thresholds come from validation data; rare classes share one, and it is said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import f1_score

from raddiag_hf.metrics import choose_f1_thresholds, choose_fpr_thresholds
from raddiag_hf.metrics.decision_rule import DecisionRule, choose_decision_rule
from raddiag_hf.metrics.threshold_rule import ThresholdRule
from raddiag_hf.metrics.thresholds import logit_cutoffs
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from tests.fixtures.predictions import Predictions, any_predictions, best_f1, long_tailed


@settings(deadline=None)
@given(any_predictions())
def test_f1_at_own_threshold_is_the_highest(predictions: Predictions) -> None:
    labels, logits = predictions
    positives = labels.sum(axis=0)
    own = (positives >= 2) & (positives < len(labels))
    if not own.any():
        return
    chosen = choose_f1_thresholds(labels, logits, min_positives=2)
    np.testing.assert_array_equal(chosen.is_pooled, ~own)
    probabilities = expit(logits.astype(np.float64))
    for column in np.flatnonzero(own):
        f1 = f1_score(labels[:, column], probabilities[:, column] >= chosen.probabilities[column])
        best = best_f1(labels[:, column], probabilities[:, column])
        assert f1 == pytest.approx(best, abs=1e-12)


def test_rare_classes_share_the_threshold_of_their_pool() -> None:
    labels, logits = long_tailed(cases=400, classes=50, seed=0)
    chosen = choose_f1_thresholds(labels, logits, min_positives=10)
    rare = labels.sum(axis=0) < 10
    np.testing.assert_array_equal(chosen.is_pooled, rare)
    (shared,) = set(chosen.probabilities[rare])
    probabilities = expit(logits[:, rare].astype(np.float64)).ravel()
    truth = labels[:, rare].ravel()
    best = best_f1(truth, probabilities)
    assert f1_score(truth, probabilities >= shared) == pytest.approx(best, abs=1e-12)
    assert f"{rare.sum()} with fewer than 10 positives share one" in chosen.describe()
    one = replace(chosen, is_pooled=np.array([False, True]), num_cases=1).describe()
    assert "on 1 validation case; 1 class has a threshold of its own, 1 with fewer" in one
    assert one.endswith("than 10 positives has that of all classes together")


def test_by_the_papers_rule_every_class_with_a_positive_has_its_own_threshold() -> None:
    labels, logits = long_tailed(cases=400, classes=50, seed=0)
    positives = labels.sum(axis=0)
    rule = choose_decision_rule(labels, logits, threshold_rule=ThresholdRule.F1)
    probabilities = expit(rule.calibrated(logits).astype(np.float64))
    for column in np.flatnonzero(positives):
        f1 = f1_score(labels[:, column], probabilities[:, column] >= rule.thresholds[column])
        best = best_f1(labels[:, column], probabilities[:, column])
        assert f1 == pytest.approx(best, abs=1e-12)
    assert "highest F1 of each class (the paper's rule) on 400 validation cases" in rule.source
    assert f"{(positives == 0).sum()} with fewer than 1 positive" in rule.source


def test_pool_without_support_falls_back_on_all_classes() -> None:
    labels, logits = long_tailed(cases=100, classes=2, seed=1)
    labels[:, 1] = False
    chosen = choose_f1_thresholds(labels, logits, min_positives=5)
    np.testing.assert_array_equal(chosen.is_pooled, [False, True])
    pooled = choose_f1_thresholds(labels.reshape(-1, 1), logits.reshape(-1, 1), min_positives=5)
    assert chosen.probabilities[1] == pooled.probabilities[0]


def test_nothing_to_choose_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="3 validation cases hold 1 positives"):
        choose_f1_thresholds([[1], [0], [0]], [[1.0], [0.0], [0.5]], min_positives=2)
    with pytest.raises(ValueError, match="min_positives must be at least 1, got 0"):
        choose_f1_thresholds([[1], [0]], [[1.0], [0.0]], min_positives=0)


def test_threshold_lies_between_cases() -> None:
    labels, logits = [[1], [1], [0], [0]], [[2.0], [1.0], [0.0], [-1.0]]
    chosen = choose_f1_thresholds(labels, logits, min_positives=2)
    assert chosen.probabilities[0] == pytest.approx((expit(1.0) + expit(0.0)) / 2)


@settings(deadline=None)
@given(any_predictions(), st.sampled_from((0.05, 0.1, 0.34, 0.9)))
def test_fpr_threshold_is_the_lowest_allowed(predictions: Predictions, target: float) -> None:
    labels, logits = predictions
    enough = (~labels).sum(axis=0) >= 2
    if not enough.any():
        return
    chosen = choose_fpr_thresholds(labels, logits, target_fpr=target, min_negatives=2)
    probabilities = expit(logits.astype(np.float64))
    for column in np.flatnonzero(enough):
        below = probabilities[~labels[:, column], column]
        threshold = chosen.probabilities[column]
        assert np.mean(below >= threshold) <= target
        lower = np.max(
            probabilities[:, column], where=probabilities[:, column] < threshold, initial=0
        )
        assert np.mean(below >= lower) > target


def test_fpr_thresholds_need_no_positives() -> None:
    logits = np.arange(200.0)[:, None] / 50.0
    chosen = choose_fpr_thresholds(np.zeros((200, 1)), logits, target_fpr=0.1)
    assert np.mean(expit(logits) >= chosen.probabilities) == 0.1
    with pytest.raises(ValueError, match="target_fpr must lie between 0 and 1, got 10"):
        choose_fpr_thresholds(np.zeros((200, 1)), logits, target_fpr=10)


def test_thresholds_travel_in_the_model_configuration() -> None:
    labels, logits = long_tailed(cases=200, classes=5, seed=2)
    chosen = choose_decision_rule(labels, logits, min_positives=2)
    config = RadDiagConfig(
        id2label={i: f"disorder {i}" for i in range(5)}, **chosen.config_fields()
    )
    restored = DecisionRule.of_model(RadDiagConfig.from_dict(config.to_dict()))
    np.testing.assert_array_equal(restored.thresholds, chosen.thresholds)
    assert restored.temperature == chosen.temperature
    assert "highest F1 on 200 validation cases" in restored.source


@settings(deadline=None)
@given(st.lists(st.floats(-750.0, 45.0), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_logit_cutoff_decides_as_the_probability_does(logits: list[float], target: float) -> None:
    values = np.array([*logits, *np.nextafter(logits, np.inf)])
    (cutoff,) = logit_cutoffs([target])
    np.testing.assert_array_equal(values >= cutoff, expit(values) >= target)
    for own in expit(values):
        np.testing.assert_array_equal(values >= logit_cutoffs(own), expit(values) >= own)


def test_impossible_probabilities_have_infinite_cutoffs() -> None:
    np.testing.assert_array_equal(logit_cutoffs([-0.1, 0.0, 1.5]), [-np.inf, -np.inf, np.inf])
