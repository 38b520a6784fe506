"""The paired bootstrap tells a better model from an equal one."""

import numpy as np
import pytest

from raddiag_hf.metrics import BootstrapSettings, compare_predictions, evaluate_predictions
from tests.fixtures.predictions import long_tailed

SETTINGS = BootstrapSettings(resamples=300)


def test_better_model_wins_and_order_turns_the_sign() -> None:
    labels, noise = long_tailed(cases=300, classes=20, seed=0, separation=0.0)
    weak, strong = noise + labels, noise + 3.0 * labels
    found = compare_predictions(labels, strong, weak, groups={"head": [0]}, bootstrap=SETTINGS)
    for group in ("head", "all"):
        auc = found.groups[group]["auc"]
        assert auc.low > 0.0
        assert auc.p_value == pytest.approx(2 / 301)
    turned = compare_predictions(labels, weak, strong, bootstrap=SETTINGS)
    np.testing.assert_allclose(turned.groups["all"]["ap"].low, -found.groups["all"]["ap"].high)
    np.testing.assert_allclose(turned.per_class["ap"].low, -found.per_class["ap"].high)


def test_equal_models_do_not_differ() -> None:
    labels, logits = long_tailed(cases=100, classes=5, seed=1)
    found = compare_predictions(labels, logits, logits.copy(), bootstrap=SETTINGS)
    for difference in found.groups["all"].values():
        assert (difference.difference, difference.p_value) == (0.0, 1.0)
        assert np.isnan([difference.low, difference.high]).all()


def test_p_values_of_equally_good_models_are_rarely_small() -> None:
    p_values = []
    for seed in range(60):
        labels, first = long_tailed(cases=150, classes=3, seed=seed)
        noise = np.random.default_rng(1000 + seed).standard_normal(labels.shape)
        found = compare_predictions(
            labels, first, noise + 2.0 * labels, bootstrap=BootstrapSettings(resamples=100)
        )
        p_values.append(float(found.groups["all"]["auc"].p_value))
    assert np.mean(np.array(p_values) < 0.05) < 0.2


def test_pairing_is_tighter_than_two_separate_intervals() -> None:
    labels, first = long_tailed(cases=300, classes=10, seed=2)
    second = first + np.random.default_rng(0).normal(0.0, 0.1, first.shape)
    paired = compare_predictions(labels, first, second, bootstrap=SETTINGS).groups["all"]["auc"]
    alone = evaluate_predictions(labels, first, bootstrap=SETTINGS).intervals
    assert alone is not None
    single = alone.macro["all"]["auc"]
    assert paired.high - paired.low < 0.5 * (single.high - single.low)


def test_each_model_is_cut_at_its_own_thresholds() -> None:
    labels, logits = long_tailed(cases=100, classes=4, seed=3)
    low, high = np.full(4, 0.01), np.full(4, 0.4)
    found = compare_predictions(
        labels, logits, logits, thresholds_a=low, thresholds_b=high, bootstrap=SETTINGS
    )
    alone = evaluate_predictions(labels, logits, thresholds=high)
    np.testing.assert_array_equal(found.per_class["f1"].b, alone.per_class["f1"])
    with pytest.raises(ValueError, match="both models or for neither"):
        compare_predictions(labels, logits, logits, thresholds_a=low)


def test_table_has_one_row_per_group_and_metric() -> None:
    labels, logits = long_tailed(cases=50, classes=3, seed=4)
    found = compare_predictions(
        labels, logits, -logits, groups={"empty": []}, bootstrap=BootstrapSettings(resamples=20)
    )
    table = found.group_table()
    assert table["group"] == ["empty"] * 5 + ["all"] * 5
    assert table["difference"][0] is None
    np.testing.assert_allclose(table["difference"][5], table["a"][5] - table["b"][5])
