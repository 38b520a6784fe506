"""A case counts for a label only where it is known: metrics equal those of the known cases."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
    roc_curve,
)

from raddiag_hf.metrics import (
    BootstrapSettings,
    choose_f1_thresholds,
    choose_fpr_thresholds,
    compare_predictions,
    evaluate_predictions,
    fit_temperature,
    reliability,
)
from raddiag_hf.metrics.class_metrics import metric_settings
from raddiag_hf.metrics.decision_rule import choose_decision_rule
from raddiag_hf.metrics.delong import delong_intervals, delong_test
from raddiag_hf.metrics.mean_curves import mean_precision_recall
from raddiag_hf.metrics.predictions import check_predictions, resolve_groups
from raddiag_hf.metrics.sampled_metrics import bootstrap_metrics
from tests.fixtures.predictions import any_predictions, long_tailed

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}
FEW = settings(max_examples=25)
Masked = tuple[NDArray[np.float64], NDArray[np.floating[Any]]]


@st.composite
def masked_predictions(draw: st.DrawFn) -> Masked:
    """Labels of which some are unknown, perhaps all of a case or of a class."""
    labels, logits = draw(any_predictions())
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shares = draw(st.sampled_from((0.1, 0.5, 0.9))) * generator.random(labels.shape[1]).round(1)
    masked = np.where(generator.random(labels.shape) < shares, np.nan, labels)
    assume(not np.isnan(masked).all())
    return masked, logits


def half_known(cases: int, classes: int) -> Masked:
    labels, logits = long_tailed(cases, classes, seed=3)
    unknown = np.random.default_rng(4).random(labels.shape) < np.linspace(0, 0.8, classes)
    return np.where(unknown, np.nan, labels), logits


def known_columns(labels: NDArray[np.float64], *tables: NDArray[Any]) -> Any:
    """Yield each class that can be evaluated, and what its known cases are."""
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        if 0 < np.nansum(labels[:, column]) < known.sum():
            rows = [table[known, column] for table in tables]
            yield column, known, labels[known, column].astype(bool), *rows


@FEW
@given(masked_predictions(), st.data())
def test_metrics_equal_scikit_learn_on_the_known_cases(masked: Masked, data: st.DataObject) -> None:
    labels, logits = masked
    threshold = data.draw(st.sampled_from((0.0, 0.2, 0.5, 0.9, 1.5)))
    result = evaluate_predictions(
        labels, logits, thresholds=[threshold] * labels.shape[1], recall_at=[0.1]
    )
    columns = []
    for column, known, truth, scores in known_columns(labels, logits):
        columns.append(column)
        predicted = expit(scores.astype(np.float64)) >= threshold
        rates, recalls, _ = roc_curve(truth, scores, drop_intermediate=False)
        expected = {
            "auc": roc_auc_score(truth, scores),
            "ap": average_precision_score(truth, scores),
            "f1": f1_score(truth, predicted, zero_division=0),
            "mcc": matthews_corrcoef(truth, predicted),
            "acc": accuracy_score(truth, predicted),
            "recall_at_fpr_0.1": recalls[rates <= 0.1].max(),
        }
        found = {name: values[column] for name, values in result.per_class.items()}
        assert found == pytest.approx(expected, abs=1e-12)
        assert result.known_cases[column] == known.sum()
        assert result.positives[column] == truth.sum()
    others = np.setdiff1d(np.arange(labels.shape[1]), columns)
    assert np.isnan(result.per_class["auc"][others]).all()
    group = result.groups["all"]
    assert group.evaluated == len(columns)
    assert group.evaluated + group.without_positives + group.without_negatives == labels.shape[1]
    table = result.class_table()
    assert table["known_cases"] == (~np.isnan(labels)).sum(0).tolist()


@FEW
@given(masked_predictions())
def test_official_numbers_oracle_thresholds_and_delong_are_those_of_the_known_cases(
    masked: Masked,
) -> None:
    labels, logits = masked
    official = evaluate_predictions(labels, logits, mode="official")
    oracle = evaluate_predictions(labels, logits, thresholds="oracle")
    delong = delong_intervals(labels, logits)
    for column, _, truth, scores in known_columns(labels, logits):
        alone = truth[:, None], scores[:, None]
        for found, mode in ((official, {"mode": "official"}), (oracle, {"thresholds": "oracle"})):
            expected = evaluate_predictions(*alone, **mode)  # type: ignore[arg-type]
            for name, values in expected.per_class.items():
                np.testing.assert_allclose(found.per_class[name][column], values[0], **EXACT)
            assert found.thresholds is not None
            assert expected.thresholds is not None
            assert found.thresholds[column] == expected.thresholds[0]
        one = delong_intervals(*alone)
        np.testing.assert_allclose(delong.standard_error[column], one.standard_error[0], **EXACT)
        np.testing.assert_allclose(delong.low[column], one.low[0], **EXACT)


@FEW
@given(masked_predictions(), st.integers(0, 99))
def test_resamples_are_those_of_the_known_cases(masked: Masked, seed: int) -> None:
    labels, logits = masked
    bootstrap = BootstrapSettings(resamples=6, seed=seed)
    present, scores = check_predictions(labels, logits)
    groups = resolve_groups(None, labels.shape[1])
    metrics = metric_settings(groups, scores, [0.1], None)
    samples = bootstrap_metrics(present, scores, metrics, bootstrap)
    (weights,) = bootstrap.weights(len(labels))
    rows = {column: row for row, column in enumerate(samples.classes.tolist())}
    for column, known, truth, kept in known_columns(labels, logits):
        for sample in range(6):
            times = weights[known, sample].astype(int)
            drawn, drawn_scores = truth.repeat(times), kept.repeat(times)
            auc = samples.per_class["auc"][rows[column], sample]
            if len(set(drawn)) < 2:
                assert np.isnan(auc)
                continue
            assert auc == pytest.approx(roc_auc_score(drawn, drawn_scores), abs=1e-12)
            assert samples.per_class["ap"][rows[column], sample] == pytest.approx(
                average_precision_score(drawn, drawn_scores), abs=1e-12
            )


@FEW
@given(masked_predictions(), st.integers(0, 2**32 - 1))
def test_nothing_depends_on_the_logits_of_unknown_labels(masked: Masked, seed: int) -> None:
    labels, logits = masked
    noise = np.random.default_rng(seed).normal(0, 50, logits.shape).astype(logits.dtype)
    other = np.where(np.isnan(labels), noise, logits)
    bootstrap = BootstrapSettings(resamples=5)
    for evaluate in (
        lambda values: evaluate_predictions(
            labels, values, thresholds=[0.5] * labels.shape[1], bootstrap=bootstrap
        ).to_dict(),
        lambda values: evaluate_predictions(labels, values, mode="official").to_dict(),
        lambda values: reliability(labels, values, bootstrap=bootstrap).to_dict(),
        lambda values: vars(mean_precision_recall(labels, values, bootstrap=bootstrap)["all"]),
        lambda values: compare_predictions(
            labels, values, logits[::-1], bootstrap=bootstrap
        ).group_table(),
        lambda values: fit_temperature(labels, values),
    ):
        np.testing.assert_equal(evaluate(other), evaluate(logits))


@FEW
@given(masked_predictions())
def test_probabilities_are_judged_over_the_known_labels(masked: Masked) -> None:
    labels, logits = masked
    known = ~np.isnan(labels)
    flat = labels[known][:, None], logits[known][:, None]
    for binning in ("equal_width", "equal_count"):
        found = reliability(labels, logits, bins=5, binning=binning)
        expected = reliability(*flat, bins=5, binning=binning)
        np.testing.assert_array_equal(found.counts, expected.counts)
        np.testing.assert_allclose(found.frequencies, expected.frequencies, **EXACT)
        assert found.error == pytest.approx(expected.error)
    if np.abs(logits[known]).max() < 15:
        probabilities = expit(logits[known].astype(np.float64))
        expected_loss = log_loss(labels[known], probabilities, labels=[0, 1])
        loss = fit_temperature(labels, logits).loss_before
        assert loss == pytest.approx(expected_loss, rel=1e-4, abs=1e-6)


def test_thresholds_are_chosen_on_the_known_cases() -> None:
    labels, logits = half_known(400, 12)
    known = ~np.isnan(labels)
    for choose in (
        partial(choose_f1_thresholds, min_positives=10),
        partial(choose_fpr_thresholds, target_fpr=0.1, min_negatives=200),
    ):
        found = choose(labels, logits)
        pooled = found.is_pooled
        assert set(pooled) == {False, True}
        for column in np.flatnonzero(~pooled):
            rows = known[:, column], column
            expected = choose(labels[rows][:, None], logits[rows][:, None])
            assert found.probabilities[column] == expected.probabilities[0]
        cells = known & pooled
        expected = choose(labels[cells][:, None], logits[cells][:, None])
        np.testing.assert_array_equal(found.probabilities[pooled], expected.probabilities[0])


def test_precision_recall_curves_are_means_over_known_cases() -> None:
    labels, logits = half_known(300, 6)
    found = mean_precision_recall(labels, logits)["all"].precisions
    alone = [
        mean_precision_recall(truth[:, None], scores[:, None])["all"].precisions
        for _, _, truth, scores in known_columns(labels, logits)
    ]
    np.testing.assert_allclose(found, np.mean(alone, axis=0), **EXACT)


def test_models_are_compared_on_the_known_cases() -> None:
    labels, logits = half_known(300, 6)
    other = logits + np.random.default_rng(0).normal(0, 1, logits.shape).astype(np.float32)
    found = compare_predictions(labels, logits, other, bootstrap=BootstrapSettings(resamples=20))
    for column, _, truth, a, b in known_columns(labels, logits, other):
        expected = roc_auc_score(truth, a) - roc_auc_score(truth, b)
        difference = found.per_class["auc"].difference[column]
        assert difference == pytest.approx(expected)
        padded = labels[:, column], logits[:, column], other[:, column]
        assert delong_test(*padded) == delong_test(truth, a, b)


def test_a_softmax_is_calibrated_on_the_cases_whose_label_is_known() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (200, 3))
    labels = (np.arange(3) == generator.integers(0, 3, (200, 1))).astype(float)
    partly = labels.copy()
    partly[:50] = np.where(labels[:50] == 1, np.nan, labels[:50])
    known = choose_decision_rule(labels[50:], logits[50:], exclusive=True)
    assert choose_decision_rule(partly, logits, exclusive=True).temperature == known.temperature


def test_labels_that_are_all_unknown_are_refused() -> None:
    with pytest.raises(ValueError, match="all labels of all cases are unknown"):
        evaluate_predictions([[np.nan, np.nan]], [[0.0, 1.0]])
    with pytest.raises(ValueError, match="scores must be finite, but case 0, class 1"):
        evaluate_predictions([[1, np.nan]], [[0.0, np.nan]])
