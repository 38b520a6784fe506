"""Resampled metrics equal scikit-learn's on cases that are really repeated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
    roc_curve,
)

from raddiag_hf.metrics import BootstrapSettings, bootstrap_settings, evaluate_predictions
from raddiag_hf.metrics.predictions import resolve_groups
from raddiag_hf.metrics.sampled_metrics import MetricSettings, bootstrap_metrics
from tests.fixtures.predictions import Predictions, any_predictions, long_tailed


def plain_metrics(truth: np.ndarray, scores: np.ndarray, cutoff: float) -> dict[str, float]:
    """One class, one resample, by scikit-learn on the repeated cases."""
    if truth.all() or not truth.any():
        return dict.fromkeys(("auc", "ap", "f1", "mcc", "acc", "recall_at_fpr_0.1"), np.nan)
    predicted = scores >= cutoff
    rates, recalls, _ = roc_curve(truth, scores, drop_intermediate=False)
    return {
        "auc": roc_auc_score(truth, scores),
        "ap": average_precision_score(truth, scores),
        "f1": f1_score(truth, predicted),
        "mcc": matthews_corrcoef(truth, predicted),
        "acc": accuracy_score(truth, predicted),
        "recall_at_fpr_0.1": recalls[rates <= 0.1].max(),
    }


def repeated_cases(num_cases: int, settings: BootstrapSettings) -> list[np.ndarray]:
    """The drawn cases of each resample, each as often as it was drawn."""
    weights = np.concatenate(list(settings.weights(num_cases)), axis=1).astype(int)
    return [np.repeat(np.arange(num_cases), column) for column in weights.T]


@settings(max_examples=30, deadline=None)
@given(any_predictions(), st.sampled_from((-0.5, 0.0, 2.0)))
def test_resampled_metrics_equal_scikit_learn(predictions: Predictions, cutoff: float) -> None:
    labels, scores = predictions
    drawn = BootstrapSettings(resamples=4, seed=labels.shape[0])
    metrics = MetricSettings(
        resolve_groups(None, labels.shape[1]),
        decisions=scores >= cutoff,
        recall_at=(0.1,),
    )
    samples = bootstrap_metrics(labels, scores, metrics, drawn)
    for number, cases in enumerate(repeated_cases(len(labels), drawn)):
        values = [
            plain_metrics(labels[cases, column], scores[cases, column], cutoff)
            for column in samples.classes
        ]
        for name in metrics.metric_names:
            expected = np.array([value[name] for value in values])
            np.testing.assert_allclose(samples.per_class[name][:, number], expected, atol=1e-12)
            defined = expected[~np.isnan(expected)]
            mean = defined.mean() if len(defined) else np.nan
            np.testing.assert_allclose(samples.macro["all"][name][number], mean, atol=1e-12)
            assert samples.defined_classes["all"][number] == len(defined)


def test_oracle_threshold_is_chosen_anew_in_each_resample() -> None:
    labels, logits = long_tailed(cases=80, classes=4, seed=4)
    drawn = BootstrapSettings(resamples=10, seed=1)
    metrics = MetricSettings(resolve_groups(None, 4), oracle=True)
    samples = bootstrap_metrics(labels, logits, metrics, drawn)
    for number, cases in enumerate(repeated_cases(80, drawn)):
        alone = evaluate_predictions(labels[cases], logits[cases], thresholds="oracle")
        for name in ("f1", "mcc", "acc"):
            np.testing.assert_allclose(
                samples.per_class[name][:, number], alone.per_class[name][samples.classes]
            )


def test_draw_does_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, logits = long_tailed(cases=50, classes=5, seed=5)
    drawn = BootstrapSettings(resamples=17, seed=3)
    metrics = MetricSettings(resolve_groups(None, 5))
    whole = bootstrap_metrics(labels, logits, metrics, drawn)
    monkeypatch.setattr(bootstrap_settings, "_MAX_CHUNK_CELLS", 50 * 4)
    chunked = bootstrap_metrics(labels, logits, metrics, drawn)
    np.testing.assert_array_equal(whole.per_class["ap"], chunked.per_class["ap"])
    np.testing.assert_allclose(whole.mean_recalls["all"], chunked.mean_recalls["all"])


def test_seed_alone_decides_the_draw() -> None:
    first, again, other = (
        np.concatenate(list(BootstrapSettings(resamples=3, seed=seed).weights(100)), axis=1)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(first.sum(axis=0), [100.0, 100.0, 100.0])


def test_cases_of_a_patient_are_drawn_together() -> None:
    patients = ["a", "b", "a", "c", "c", "c"]
    settings = BootstrapSettings(resamples=50, patient_ids=patients)
    (weights,) = settings.weights(6)
    np.testing.assert_array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[3], weights[5])
    np.testing.assert_array_equal(weights[[0, 1, 3]].sum(axis=0), np.full(50, 3.0))


def test_patient_ids_must_match_the_cases() -> None:
    with pytest.raises(ValueError, match="2 patient_ids were given for 3 cases"):
        next(BootstrapSettings(patient_ids=["a", "b"]).weights(3))


def test_resamples_without_a_positive_are_counted() -> None:
    labels = np.zeros((200, 2), dtype=bool)
    labels[0, 0] = True
    labels[:100, 1] = True
    logits = np.random.default_rng(0).standard_normal(labels.shape)
    result = evaluate_predictions(labels, logits, bootstrap=BootstrapSettings(resamples=500))
    assert result.intervals is not None
    rare, common = result.intervals.undefined_resamples
    assert abs(rare / 500 - np.exp(-1)) < 0.1
    assert common == 0
    assert result.intervals.fewest_classes["all"] == 1


def test_interval_of_auc_agrees_with_its_sampling_spread() -> None:
    generator = np.random.default_rng(7)

    def draw() -> Predictions:
        labels = generator.random((300, 1)) < 0.3
        return labels, generator.standard_normal((300, 1)) + labels

    spread = np.std([evaluate_predictions(*draw()).groups["all"].values["auc"] for _ in range(300)])
    result = evaluate_predictions(*draw(), bootstrap=BootstrapSettings(resamples=1000))
    assert result.intervals is not None
    found = result.intervals.macro["all"]["auc"]
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.2)
