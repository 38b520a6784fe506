"""Intervals of two means and of their difference."""

import numpy as np
import pytest

from raddiag_hf.metrics.bootstrap import compare_paired_means


def test_a_constant_gain_has_no_uncertainty_however_noisy_the_values():
    base = np.random.default_rng(0).random(60)
    compared = compare_paired_means(base, base + 0.25, [str(i % 20) for i in range(60)])
    assert compared.difference.low == pytest.approx(0.25)
    assert compared.difference.high == pytest.approx(0.25)
    assert compared.base.low < compared.base.value < compared.base.high
    assert (compared.queries, compared.clusters) == (60, 20)


def test_alike_queries_of_a_cluster_count_once():
    generator = np.random.default_rng(0)
    by_cluster = generator.random(30)
    repeated = np.repeat(by_cluster, 10)
    one = compare_paired_means(by_cluster, by_cluster, [str(i) for i in range(30)], seed=3)
    many = compare_paired_means(repeated, repeated, [str(i // 10) for i in range(300)], seed=3)
    apart = compare_paired_means(repeated, repeated, [str(i) for i in range(300)], seed=3)
    width = many.base.high - many.base.low
    assert width == pytest.approx(one.base.high - one.base.low, rel=0.1)
    assert width > 2 * (apart.base.high - apart.base.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        values = generator.random(80)
        compared = compare_paired_means(values, values, [str(i) for i in range(80)], resamples=300)
        hits += compared.base.low <= 0.5 <= compared.base.high
    assert 180 <= hits <= 198


@pytest.mark.parametrize(("clusters", "has_interval"), [(1, False), (4, False), (5, True)])
def test_few_clusters_have_no_interval(clusters, has_interval):
    """One cluster drawn again and again would give an interval of no width."""
    values = np.linspace(0, 1, 20)
    compared = compare_paired_means(values, values, [str(i % clusters) for i in range(20)])
    for estimate in (compared.base, compared.tuned, compared.difference):
        assert np.isfinite([estimate.low, estimate.high]).tolist() == [has_interval] * 2
    assert compared.base.value == pytest.approx(0.5)


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="0 and 0 values"):
        compare_paired_means(np.array([]), np.array([]), [])
