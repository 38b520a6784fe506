"""Exclusive labels are decided as such: one label of each case, the most probable."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
)

from raddiag_hf.core.errors import InputError
from raddiag_hf.metrics import BootstrapSettings, compare_predictions, evaluate_predictions
from raddiag_hf.metrics.confusion import MOST_LABELS, count_confusion
from raddiag_hf.metrics.decision_rule import DecisionRule, choose_decision_rule
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from tests.fixtures.predictions import exclusive_predictions


@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 999), st.sampled_from((0.2, 1.0, 5.0)))
@settings(deadline=None, max_examples=50)
def test_every_case_has_one_decision_at_any_temperature(cases, labels, seed, temperature):
    present, logits = exclusive_predictions(cases, labels, seed)
    rule = DecisionRule(temperature, None, None, is_exclusive=True)
    told = logits.argmax(1)
    np.testing.assert_array_equal(rule.decide(logits), np.eye(labels, dtype=bool)[told])
    found = count_confusion(present, rule.decide(logits))
    true = present.argmax(1)
    expected = confusion_matrix(true, told, labels=range(labels))
    np.testing.assert_array_equal(found.counts, expected)
    assert found.accuracy == pytest.approx(accuracy_score(true, told))
    recalls = expected.diagonal()[expected.sum(1) > 0] / expected.sum(1)[expected.sum(1) > 0]
    assert found.balanced_accuracy == pytest.approx(recalls.mean())


def test_metrics_of_decisions_are_those_of_scikit_learn():
    present, logits = exclusive_predictions(200, 4)
    decided = DecisionRule(1.0, None, None, is_exclusive=True).decide(logits)
    result = evaluate_predictions(present, logits, decisions=decided)
    for column in range(4):
        one, told = present[:, column], decided[:, column]
        assert result.per_class["f1"][column] == pytest.approx(f1_score(one, told))
        assert result.per_class["mcc"][column] == pytest.approx(matthews_corrcoef(one, told))
        assert result.per_class["acc"][column] == pytest.approx(accuracy_score(one, told))
    assert (result.thresholds, result.threshold_source) == (None, None)


def test_decisions_count_only_where_the_label_is_known():
    present, logits = exclusive_predictions(80, 3)
    labels = present.astype(float)
    labels[:40, 1] = np.nan
    found = evaluate_predictions(labels, logits, decisions=logits > 0)
    known = evaluate_predictions(present[40:], logits[40:], decisions=logits[40:] > 0)
    for name in ("f1", "mcc", "acc"):
        assert found.per_class[name][1] == known.per_class[name][1]


def test_accuracies_have_intervals_by_patient():
    present, logits = exclusive_predictions(200, 4)
    decided = DecisionRule(1.0, None, None, is_exclusive=True).decide(logits)
    drawn = BootstrapSettings(resamples=200, patient_ids=[str(case // 2) for case in range(200)])
    content = count_confusion(present, decided, drawn).to_dict()
    for name in ("accuracy", "balanced_accuracy"):
        low, high = content[f"{name}_low"], content[f"{name}_high"]
        assert content[name] - 0.12 < low < content[name] < high < content[name] + 0.12


def test_cases_without_one_label_and_many_labels_are_no_trouble():
    present, logits = exclusive_predictions(30, MOST_LABELS + 1)
    present[0], present[1, :2] = False, True
    decided = DecisionRule(1.0, None, None, is_exclusive=True).decide(logits)
    content = count_confusion(present, decided).to_dict()
    assert (content["cases"], content["counts"]) == (28, None)
    nobody = count_confusion(np.zeros_like(present), decided).to_dict()
    assert (nobody["cases"], nobody["accuracy"]) == (0, None)


@pytest.mark.parametrize(("cases", "is_fitted"), [(3, False), (9, False), (10, True), (40, True)])
def test_one_temperature_takes_ten_cases_in_all(cases, is_fitted):
    """Not ten of each label."""
    present, logits = exclusive_predictions(cases, 8, seed=3)
    rule = choose_decision_rule(present, 6 * logits, exclusive=True)
    assert (rule.temperature > 1.5) == is_fitted
    assert rule.thresholds is None
    assert rule.source.startswith("the most probable label of each case is predicted; ")
    assert f"{cases} validation cases" in rule.source
    config = RadDiagConfig(
        num_labels=8, problem_type="single_label_classification", **rule.config_fields()
    )
    stored = DecisionRule.of_model(config)
    assert (stored.source, stored.thresholds) == (rule.source, None)
    np.testing.assert_array_equal(stored.decide(logits), rule.decide(logits))


def test_thresholds_of_exclusive_labels_are_not_asked_for():
    present, logits = exclusive_predictions(40, 4)
    with pytest.raises(InputError, match="labels are exclusive: the most probable label"):
        choose_decision_rule(present, logits, exclusive=True, target_fpr=0.1)
    decided = logits > 0
    with pytest.raises(ValueError, match="decisions and thresholds were given"):
        evaluate_predictions(present, logits, thresholds=[0.5] * 4, decisions=decided)
    with pytest.raises(ValueError, match=r"expected bool of shape \(40, 4\)"):
        evaluate_predictions(present, logits, decisions=decided[:, :2])


def test_models_are_compared_by_their_decisions():
    present, logits = exclusive_predictions(80, 3)
    other = exclusive_predictions(80, 3, seed=1)[1]
    rule = DecisionRule(1.0, None, None, is_exclusive=True)
    found = compare_predictions(
        present, logits, other,
        decisions_a=rule.decide(logits), decisions_b=rule.decide(other),
        bootstrap=BootstrapSettings(resamples=20),
    )  # fmt: skip
    expected = np.mean([f1_score(present[:, i], rule.decide(logits)[:, i]) for i in range(3)])
    assert found.groups["all"]["f1"].a == pytest.approx(expected)
    with pytest.raises(ValueError, match="for both models or for neither"):
        compare_predictions(present, logits, other, decisions_a=rule.decide(logits))
