"""Out-of-distribution score: calibrated on its own, and far for what is elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf.metrics.embedding_distribution import (
    ALARM_RATE,
    MOST_AXES,
    EmbeddingDistribution,
)

HIDDEN = 48


def draw(scans, seed, shift=0.0):
    """Embeddings with a few directions of much variance, as networks have them."""
    random = np.random.default_rng(seed)
    scales = np.concatenate([np.full(4, 5.0), np.full(HIDDEN - 4, 0.3)])
    return (random.normal(size=(scans, HIDDEN)) * scales + shift).astype(np.float32)


def fit(scans=200, cases=100):
    return EmbeddingDistribution.fit(draw(scans, 0), draw(cases, 1), np.ones(cases, np.int64))


def test_the_alarm_rate_is_kept_on_cases_of_the_same_kind():
    distances = fit().distances(draw(4000, 2))
    assert (distances > fit().limit).mean() == pytest.approx(ALARM_RATE, abs=0.02)


def test_it_is_kept_on_average_with_few_validation_cases():
    """A single fit may miss it by much; few cases widen the limit, so that none is too sure."""
    test, training = draw(400, 2), draw(200, 0)
    rates = [
        (distribution.distances(test) > distribution.limit).mean()
        for seed in range(200)
        for distribution in [
            EmbeddingDistribution.fit(training, draw(6, 100 + seed), np.ones(6, np.int64))
        ]
    ]
    assert np.mean(rates) == pytest.approx(ALARM_RATE, abs=0.02)


def test_cases_of_several_scans_alarm_no_more_often():
    counts = np.full(100, 3)
    distribution = EmbeddingDistribution.fit(draw(200, 0), draw(300, 1), counts)
    far = distribution.case_distances(draw(3000, 2), np.full(1000, 3)) > distribution.limit
    assert far.mean() == pytest.approx(ALARM_RATE, abs=0.03)


def test_what_lies_elsewhere_is_far_even_where_variance_is_small():
    elsewhere = draw(50, 2)
    elsewhere[:, -1] += 3  # ten times its deviation, and less than that of the first directions
    distribution = fit()
    assert (distribution.distances(elsewhere) > distribution.limit).all()


def test_a_p_value_falls_with_distance_and_is_the_alarm_rate_at_the_limit():
    distribution = fit()
    steps = distribution.limit * np.array([0, 0.5, 1, 2, 100])
    p_values = distribution.p_values(steps)
    assert (np.diff(p_values) < 0).all()
    assert p_values[2] == pytest.approx(ALARM_RATE)
    assert p_values[0] == 1


def test_a_case_is_as_far_as_its_farthest_scan():
    distribution, scans = fit(), draw(6, 3)
    one = distribution.distances(scans)
    found = distribution.case_distances(scans, np.array([1, 3, 2]))
    np.testing.assert_allclose(found, [one[0], one[1:4].max(), one[4:].max()])


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 60), st.integers(2, 80), st.integers(0, 99))
def test_any_number_of_scans_and_any_width_give_finite_distances(scans, hidden, seed):
    random = np.random.default_rng(seed)
    training, validation = random.normal(size=(scans, hidden)), random.normal(size=(9, hidden))
    found = EmbeddingDistribution.fit(training, validation, np.array([4, 1, 2, 2]))
    assert len(found.axes) <= min(MOST_AXES, scans // 4)
    assert np.isfinite(found.distances(validation)).all()
    assert np.isfinite(found.limit)


@pytest.mark.parametrize(
    ("training", "cases", "expected"),
    [
        (draw(4, 0), 10, "4 training scans"),
        (draw(20, 0), 3, "3 validation cases"),
        (np.ones((20, HIDDEN), np.float32), 10, "the same embedding"),
        (np.full((20, HIDDEN), np.nan, np.float32), 10, "finite"),
    ],
)
def test_what_cannot_be_fitted_is_refused(training, cases, expected):
    with pytest.raises(ValueError, match=expected):
        EmbeddingDistribution.fit(training, draw(cases, 1), np.ones(cases, np.int64))
