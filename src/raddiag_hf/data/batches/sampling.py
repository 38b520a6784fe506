"""Which cases make a batch: shuffled, and dealt so that batches and ranks have equal work."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from raddiag_hf.data.batches.repetition import draw_repeated, num_drawn

DEALT_AT_ONCE = 64
"""Batches that are dealt from one pool: more balance the work better, fewer shuffle better."""


class BalancedBatchSampler(Sampler[list[int]]):
    """Batches of a fixed number of cases whose slices add up to about the same.

    Each epoch shuffles the cases, cuts them into pools of many batches, and deals every pool like
    cards: the largest cases first, in rounds, to the batches that have least. The ranks' batches of
    one step come from the same deal. The order is a function of seed and epoch
    alone, so a resumed run that skips the batches already seen continues with the same ones.

    Cases that do not fill a last batch on every rank are left out of an epoch, others in each.

    Work is counted before augmentation: what mixing, dropped scans and key slices alone change in
    single cases is not balanced.

    Args:
        slice_counts: Slices of each case, as the work that it costs.
        batch_size: Cases of a batch on one rank.
        seed: Of the shuffles.
        rank: This process.
        num_ranks: Processes in all.
        repeat_factors: How often each case comes in an epoch, at least 1 and on average; see
            `repeat_factors`. Repetition ``k`` of case ``i`` is the index ``i + k * cases``, which
            `TrainingCases` takes for the same case, augmented differently. None: each case once.

    Raises:
        ValueError: If there are too few cases for one batch on every rank, or an argument is out of
            its range.
    """

    def __init__(
        self,
        slice_counts: Sequence[int],
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        repeat_factors: Sequence[float] | NDArray[np.float64] | None = None,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < num_ranks:
            raise ValueError(
                f"batch_size is {batch_size}, rank {rank} of {num_ranks}; expected a batch of at "
                "least 1, and a rank below the number of ranks"
            )
        if len(slice_counts) < batch_size * num_ranks:
            raise ValueError(
                f"{len(slice_counts)} cases do not fill a batch of {batch_size} on each of "
                f"{num_ranks} ranks"
            )
        self.repeat_factors = None if repeat_factors is None else np.asarray(repeat_factors)
        if self.repeat_factors is not None and (
            len(self.repeat_factors) != len(slice_counts) or not (self.repeat_factors >= 1).all()
        ):
            raise ValueError(
                f"repeat_factors has {len(self.repeat_factors)} values from "
                f"{self.repeat_factors.min()}, expected one of at least 1 for each of "
                f"{len(slice_counts)} cases"
            )
        self.slice_counts = np.asarray(slice_counts)
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.num_ranks = num_ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of an epoch, as Accelerate and the Trainer do before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Batches of an epoch on each rank."""
        num_cases = (
            len(self.slice_counts)
            if self.repeat_factors is None
            else num_drawn(self.repeat_factors)
        )
        return num_cases // (self.batch_size * self.num_ranks)

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        in_step = self.batch_size * self.num_ranks
        shuffled = (
            random.permutation(len(self.slice_counts))
            if self.repeat_factors is None
            else draw_repeated(self.repeat_factors, random)
        )[: len(self) * in_step]
        for start in range(0, len(shuffled), DEALT_AT_ONCE * in_step):
            pool = shuffled[start : start + DEALT_AT_ONCE * in_step]
            batches = self._deal(pool, len(pool) // self.batch_size)
            # Batches of one step go to different ranks: those of nearest work stand side by side.
            work = self._work(batches).sum(1)
            steps = batches[work.argsort(kind="stable")].reshape(
                -1, self.num_ranks, self.batch_size
            )
            for step in random.permutation(steps):
                yield step[self.rank].tolist()

    def _work(self, cases: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the work of cases, repeated or not."""
        work: NDArray[np.int64] = self.slice_counts[cases % len(self.slice_counts)]
        return work

    def _deal(self, pool: NDArray[np.intp], num_batches: int) -> NDArray[np.intp]:
        """Deal cases to batches, the largest first and to whoever has least: (batches, size)."""
        largest_first = pool[(-self._work(pool)).argsort(kind="stable")]
        batches = np.empty((num_batches, self.batch_size), np.intp)
        work = np.zeros(num_batches)
        for place, cards in enumerate(largest_first.reshape(self.batch_size, num_batches)):
            least_first = work.argsort(kind="stable")
            batches[least_first, place] = cards
            work[least_first] += self._work(cards)
        return batches
