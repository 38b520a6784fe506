"""How the cases of one optimiser step are shared out over processes and micro-batches."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from raddiag_hf.data.batches.sampling import BalancedBatchSampler


class StepBatchSampler(Sampler[list[int]]):
    """The batches of one process, cut from steps that do not depend on how they are cut.

    Which cases make an optimiser step is a function of seed, epoch and the step's size alone. They
    are dealt like cards, the largest first and to whoever has least, to the micro-batches of all
    processes. One process or eight, one batch or four accumulated: the steps hold the same cases.

    Args:
        slice_counts: Slices of each case, as the work that it costs.
        batch_size: Cases of one micro-batch.
        num_accumulated: Micro-batches of one process in a step.
        rank: This process.
        num_ranks: Processes in all.
        seed: Of the shuffles.
        repeat_factors: How often each case comes in an epoch; see `BalancedBatchSampler`.

    Raises:
        ValueError: If there are too few cases for one step, or an argument is out of its range.
    """

    def __init__(
        self,
        slice_counts: Sequence[int],
        batch_size: int,
        *,
        num_accumulated: int = 1,
        rank: int = 0,
        num_ranks: int = 1,
        seed: int = 0,
        repeat_factors: NDArray[np.float64] | None = None,
    ) -> None:
        if num_accumulated < 1 or not 0 <= rank < num_ranks:
            raise ValueError(
                f"num_accumulated is {num_accumulated} and rank {rank} of {num_ranks}; expected at "
                "least 1, and a rank below the number of ranks"
            )
        self.slice_counts = np.asarray(slice_counts)
        self.batch_size = batch_size
        self.num_accumulated, self.rank, self.num_ranks = num_accumulated, rank, num_ranks
        self.steps = BalancedBatchSampler(
            slice_counts,
            batch_size * num_accumulated * num_ranks,
            seed=seed,
            repeat_factors=repeat_factors,
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of an epoch."""
        self.steps.set_epoch(epoch)

    def __len__(self) -> int:
        """Micro-batches of an epoch on each process."""
        return len(self.steps) * self.num_accumulated

    def __iter__(self) -> Iterator[list[int]]:
        for step in self.steps:
            yield from self._deal(np.asarray(step))[self.rank :: self.num_ranks]

    def _deal(self, cases: NDArray[np.intp]) -> list[list[int]]:
        """Return the micro-batches of a step, those that run at the same time side by side."""
        hands: list[list[int]] = [[] for _ in range(self.num_accumulated * self.num_ranks)]
        work = np.zeros(len(hands))
        slices = self.slice_counts[cases % len(self.slice_counts)]  # beyond: a repetition
        for card in (-slices).argsort(kind="stable"):
            open_hands = [n for n, hand in enumerate(hands) if len(hand) < self.batch_size]
            least = min(open_hands, key=work.__getitem__)
            hands[least].append(int(cases[card]))
            work[least] += slices[card]
        return [hands[n] for n in work.argsort(kind="stable")]
