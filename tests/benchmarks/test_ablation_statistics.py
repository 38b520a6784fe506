"""Intervals over seeds and cases, and AUC among chosen cases."""

import numpy as np
import pytest

SEEDS, RESAMPLES = 5, 200


@pytest.fixture
def statistics(benchmark_module):
    return benchmark_module("_ablation_statistics")


def draw_runs(statistics, generator, seed_noise, case_noise):
    """One experiment whose true mean is 0: seeds differ, and all seeds share the cases."""
    of_seeds = generator.normal(0, seed_noise, SEEDS)
    of_cases = generator.normal(0, case_noise)
    resampled = of_cases + generator.normal(0, case_noise, RESAMPLES)
    return [statistics.Sampled(of_seed + of_cases, of_seed + resampled) for of_seed in of_seeds]


@pytest.mark.parametrize(
    ("seed_noise", "case_noise"), [(0.1, 0.001), (0.02, 0.01), (0.01, 0.02), (0.001, 0.1)]
)
def test_the_interval_over_both_covers_whichever_noise_dominates(
    statistics, seed_noise, case_noise
):
    generator = np.random.default_rng(0)
    held, widths, draws = 0, [], 800
    for _ in range(draws):
        runs = draw_runs(statistics, generator, seed_noise, case_noise)
        low, high = statistics.summarise(runs, (-1.0, 1.0))["over_both"]
        held += low <= 0 <= high
        widths.append(high - low)
    assert 0.93 <= held / draws <= 0.985
    # Not bought by width: 95 % of t with four degrees of freedom lie within 5.6.
    assert np.mean(widths) < 6 * np.hypot(seed_noise / np.sqrt(SEEDS), case_noise)


def test_without_spread_of_seeds_both_is_the_spread_of_cases(statistics):
    resampled = np.random.default_rng(0).normal(0.7, 0.02, 2000)
    runs = [statistics.Sampled(0.7, resampled)] * SEEDS
    found = statistics.summarise(runs, (0.0, 1.0))
    assert found["over_both"] == pytest.approx(found["over_cases"], abs=0.004)
    assert found["over_seeds"] == [0.7, 0.7]


def test_a_single_seed_has_no_interval_over_seeds(statistics):
    found = statistics.summarise([statistics.Sampled(0.5, np.linspace(0.4, 0.6, 50))], (0.0, 1.0))
    assert found["over_both"] is None
    assert found["over_seeds"] is None
    assert found["over_cases"][0] < 0.5 < found["over_cases"][1]


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_intervals_hold_possible_values_only(statistics, value_range):
    generator = np.random.default_rng(0)
    runs = [
        statistics.Sampled(value, generator.normal(value, 1.0, 200)) for value in (0.1, 0.5, 0.9)
    ]
    found = statistics.summarise(runs, value_range)
    for name in ("over_cases", "over_seeds", "over_both"):
        assert value_range[0] <= found[name][0] < found[name][1] <= value_range[1]
    assert (found["over_both"][0] < 0) == (value_range[0] < 0)


def test_a_score_that_knows_what_the_cases_share_is_worth_nothing_among_them(statistics):
    regions = np.repeat([0, 1], 20)
    labels = np.zeros((40, 2), dtype=np.bool_)
    labels[:5, 0] = labels[20:24, 1] = True
    in_region = regions[:, None] == np.arange(2)
    cases = statistics.EvaluatedCases(labels, np.arange(40).astype(str), {"auc_within": in_region})
    found = statistics.sample_metrics(
        cases, in_region.astype(np.float32), {"both": np.arange(2)}, None, 20
    )
    assert found["both", "auc"].value == pytest.approx(1 - (15 / 35 + 16 / 36) / 4)
    assert found["both", "auc_within"].value == 0.5
    assert np.nanmax(np.abs(found["both", "auc_within"].resamples - 0.5)) < 1e-9


def test_a_label_that_is_ranked_among_no_cases_counts_in_no_mean(statistics):
    labels = np.array([[True, True], [False, False], [True, False]])
    among = np.array([[True, False]] * 3)
    cases = statistics.EvaluatedCases(labels, np.array(["a", "b", "c"]), {"auc_within": among})
    scores = labels.astype(np.float32)
    found = statistics.sample_metrics(cases, scores, {"both": np.arange(2)}, None, 20)
    assert found["both", "auc_within"].value == 1.0
