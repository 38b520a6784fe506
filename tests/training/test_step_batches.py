"""The cases of a step do not depend on how the step is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.training.trainer import StepBatchSampler

WORK = np.random.default_rng(0).integers(1, 200, 100).tolist()


def steps(batch_size, num_accumulated, num_ranks, epoch):
    """The cases of each step, from all ranks' batches."""
    found = []
    for rank in range(num_ranks):
        sampler = StepBatchSampler(
            WORK, batch_size, num_accumulated=num_accumulated, rank=rank, num_ranks=num_ranks
        )
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(batches) == len(sampler)
        assert {len(batch) for batch in batches} == {batch_size}
        found.append(np.reshape(batches, (-1, num_accumulated * batch_size)))
    return [sorted(step) for step in np.concatenate(found, axis=1).tolist()]


@given(
    cut=st.sampled_from([(8, 1, 1), (4, 2, 1), (4, 1, 2), (2, 2, 2), (1, 8, 1), (1, 2, 4)]),
    epoch=st.integers(0, 3),
)
def test_every_cut_gives_the_same_steps(cut, epoch):
    assert steps(*cut, epoch) == steps(8, 1, 1, epoch)


def test_epochs_differ_and_no_case_comes_twice():
    first, second = steps(4, 1, 2, 0), steps(4, 1, 2, 1)
    assert first != second
    assert len({case for step in first for case in step}) == 96


def test_ranks_work_equally_hard():
    sampler = [StepBatchSampler(WORK, 4, rank=rank, num_ranks=2) for rank in range(2)]
    work = np.array([[sum(WORK[case] for case in batch) for batch in one] for one in sampler])
    random = np.random.default_rng(0).permutation(96).reshape(2, -1, 4)
    unbalanced = np.asarray(WORK)[random].sum(2)
    slowest = work.max(0).sum() / work.mean(0).sum()
    assert slowest < 1.1 < unbalanced.max(0).sum() / unbalanced.mean(0).sum()


def test_too_few_cases_for_a_step_are_refused():
    with pytest.raises(ValueError, match="3 cases do not fill a batch of 4"):
        StepBatchSampler([1, 2, 3], 2, num_ranks=2)
