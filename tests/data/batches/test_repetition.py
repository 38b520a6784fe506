"""Cases with rare labels come more often, by exactly as much as asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from raddiag_hf.data.batches.repetition import draw_repeated, num_drawn, repeat_factors
from raddiag_hf.data.batches.sampling import BalancedBatchSampler

factor_lists = st.lists(st.floats(1, 5), min_size=1, max_size=60).map(np.array)


def test_the_factor_of_a_case_is_that_of_its_rarest_label():
    labels = np.zeros((100, 4), bool)
    labels[:50, 0] = True
    labels[0, 1] = True
    labels[1:5, 2] = True
    expected = np.ones(100)
    expected[0] = np.sqrt(0.16 / 0.01)
    expected[1:5] = np.sqrt(0.16 / 0.04)
    assert repeat_factors(csr_array(labels), 0.16) == pytest.approx(expected)


def test_a_label_is_as_rare_as_among_the_cases_where_it_is_known():
    labels = csr_array(np.arange(100)[:, None] < [1, 1])
    factors = repeat_factors(labels, 0.16, [25, 100])
    assert factors[0] == pytest.approx(np.sqrt(0.16 / 0.01))
    assert repeat_factors(labels[:, :1], 0.16, [25])[0] == pytest.approx(np.sqrt(0.16 / 0.04))


def test_nothing_is_rare_at_a_threshold_of_zero():
    labels = csr_array(np.eye(3, dtype=bool))
    assert repeat_factors(labels, 0).tolist() == [1, 1, 1]


@given(factors=factor_lists, seed=st.integers(0, 999))
def test_each_case_comes_its_factor_rounded_up_or_down(factors, seed):
    drawn = draw_repeated(factors, np.random.default_rng(seed))
    times = np.bincount(drawn % len(factors), minlength=len(factors))
    assert (np.floor(factors - 1e-6) <= times).all()
    assert (times <= np.ceil(factors + 1e-6)).all()
    assert len(set(drawn.tolist())) == len(drawn)  # repetitions are told apart, counted from 0
    assert all(
        set(drawn[drawn % len(factors) == case] // len(factors)) == set(range(count))
        for case, count in enumerate(times)
    )
    assert num_drawn(factors) <= len(drawn) <= num_drawn(factors) + 1


def test_cases_come_as_often_as_asked_on_average():
    factors = np.array([1.0, 1.25, 2.5, 3.9])
    times = [
        np.bincount(draw_repeated(factors, np.random.default_rng(seed)) % 4, minlength=4)
        for seed in range(4000)
    ]
    assert np.mean(times, axis=0) == pytest.approx(factors, abs=0.035)


@given(
    factors=st.lists(st.floats(1, 4), min_size=16, max_size=200),
    batch_size=st.integers(1, 3),
    num_ranks=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_ranks_share_one_draw_and_every_epoch_is_as_long(factors, batch_size, num_ranks, epoch):
    slices = [1 + number % 7 for number in range(len(factors))]
    samplers = [
        BalancedBatchSampler(
            slices, batch_size, rank=rank, num_ranks=num_ranks, seed=7, repeat_factors=factors
        )
        for rank in range(num_ranks)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    batches = [list(sampler) for sampler in samplers]
    assert {len(one) for one in batches} == {len(samplers[0])}
    seen = [case for one in batches for batch in one for case in batch]
    assert len(set(seen)) == len(seen)
    drawn = draw_repeated(np.array(factors), np.random.default_rng((7, epoch))).tolist()
    assert set(seen) <= set(drawn)
    assert len(drawn) - len(seen) <= batch_size * num_ranks
    assert batches == [list(sampler) for sampler in samplers]


def test_factors_of_one_leave_every_case_once():
    sampler = BalancedBatchSampler([1] * 10, 2, repeat_factors=[1.0] * 10)
    assert sorted(case for batch in sampler for case in batch) == list(range(10))


@pytest.mark.parametrize("factors", [[1.0] * 3, [1.0, 1.0, 1.0, 0.5], [1.0, 1.0, 1.0, np.nan]])
def test_impossible_factors_are_refused(factors):
    with pytest.raises(ValueError, match="expected one of at least 1 for each of 4 cases"):
        BalancedBatchSampler([1] * 4, 1, repeat_factors=factors)


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_impossible_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match="expected 0 to 1"):
        repeat_factors(csr_array(np.eye(3, dtype=bool)), threshold)
