"""Which shards each worker of a streamed epoch reads, and in which order its batches come."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class StreamingOrder:
    """How the shards of a split are dealt to ranks and workers, the same in every epoch.

    A rank's loader has *lanes*, one for each worker. Shards go round the ranks and then round each
    rank's lanes. A lane's batches hold rows of its own shards; the loader takes one from each lane
    in turn, as DataLoader does with its workers. All of it follows from the numbers below, so the
    number of batches that were taken is all that resuming needs.

    Attributes:
        shard_rows: Cases of each shard.
        batch_size: Cases of a batch.
        num_ranks: Processes that train together.
        num_lanes: Of each rank; at least 1.

    Raises:
        ValueError: If a number is out of its range, or a rank would have no batch.
    """

    shard_rows: tuple[int, ...]
    batch_size: int
    num_ranks: int = 1
    num_lanes: int = 1

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_ranks", "num_lanes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.num_batches == 0:
            raise ValueError(
                f"{sum(self.shard_rows)} cases in {len(self.shard_rows)} shards do not give a "
                f"batch of {self.batch_size} to each of {self.num_ranks} ranks with "
                f"{self.num_lanes} workers; take fewer of them"
            )

    def shards(self, rank: int, lane: int) -> list[int]:
        """Return the shards that a lane reads."""
        return list(
            range(
                rank + lane * self.num_ranks, len(self.shard_rows), self.num_ranks * self.num_lanes
            )
        )

    @cached_property
    def num_batches(self) -> int:
        """Batches of an epoch on every rank: those of the rank with the fewest."""
        return min(sum(self._full_batches(rank)) for rank in range(self.num_ranks))

    def turns(self, rank: int) -> list[int]:
        """Return the lane of each batch of an epoch, in the order in which they come."""
        full = self._full_batches(rank)
        in_turn = [
            lane for turn in range(max(full)) for lane in range(self.num_lanes) if turn < full[lane]
        ]
        return in_turn[: self.num_batches]

    def share(self, rank: int, num_done: int) -> tuple[int, list[range]]:
        """Return how the rest of an epoch is shared.

        Args:
            rank: This process.
            num_done: Batches that were taken already.

        Returns:
            The lane whose turn it is, and the numbers of each lane's batches that are left.
        """
        turns = self.turns(rank)
        done, total = Counter(turns[:num_done]), Counter(turns)
        left = [range(done[lane], total[lane]) for lane in range(self.num_lanes)]
        return (turns[num_done] if num_done < len(turns) else 0), left

    def _full_batches(self, rank: int) -> list[int]:
        """Return how many batches the rows of each lane fill."""
        return [
            sum(self.shard_rows[shard] for shard in self.shards(rank, lane)) // self.batch_size
            for lane in range(self.num_lanes)
        ]


def shuffled_shards(shards: Sequence[int], seed: Sequence[int]) -> list[int]:
    """Return the shards of a lane in the order of one epoch."""
    return np.random.default_rng(seed).permutation(np.asarray(shards, dtype=np.int64)).tolist()
