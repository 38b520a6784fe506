"""Batches of equal work."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.data.batches.sampling import BalancedBatchSampler


@given(
    slice_counts=st.lists(st.integers(1, 300), min_size=24, max_size=400),
    batch_size=st.integers(1, 4),
    num_ranks=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_every_case_is_seen_at_most_once_and_nearly_all_are(
    slice_counts, batch_size, num_ranks, epoch
):
    seen = []
    for rank in range(num_ranks):
        sampler = BalancedBatchSampler(
            slice_counts, batch_size, rank=rank, num_ranks=num_ranks, seed=7
        )
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert all(len(batch) == batch_size for batch in batches)
        seen += [case for batch in batches for case in batch]
    assert len(set(seen)) == len(seen)
    assert len(slice_counts) - len(seen) < batch_size * num_ranks


def test_batches_and_ranks_have_nearly_equal_work():
    random = np.random.default_rng(0)
    counts = np.minimum(random.geometric(0.02, 4000), 256)  # long-tailed, as cases are
    ranks = [BalancedBatchSampler(counts, 8, rank=rank, num_ranks=4) for rank in range(4)]
    work = np.array([[counts[batch].sum() for batch in rank] for rank in ranks])
    plain = counts[random.permutation(4000)].reshape(-1, 8).sum(1)
    assert work.std() < plain.std() / 5
    assert (work.max(0) / work.mean(0)).mean() < 1.02  # a step waits for its slowest rank


def test_the_order_depends_on_seed_and_epoch_alone():
    counts = list(range(1, 101))

    def order(seed, epoch):
        sampler = BalancedBatchSampler(counts, 4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([1, 2], {"batch_size": 3}, "2 cases do not fill a batch of 3 on each of 1 ranks"),
        ([1, 2], {"batch_size": 0}, "batch_size is 0"),
        ([1, 2], {"batch_size": 1, "rank": 2, "num_ranks": 2}, "rank 2 of 2"),
    ],
)
def test_impossible_batches_are_refused(counts, options, message):
    with pytest.raises(ValueError, match=message):
        BalancedBatchSampler(counts, **options)
