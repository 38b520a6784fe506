"""Training batches from shards that are read as they are needed, also over the network."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.sampling import BalancedBatchSampler
from raddiag_hf.data.batches.streaming_order import StreamingOrder, shuffled_shards
from raddiag_hf.data.batches.training_cases import CasePacker
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.vocabulary import Split


class StreamingCases:
    """Packed batches of a split that is never held or fetched as a whole; resumes exactly.

    Each epoch reads the shards in another order, some batches' worth of rows at a time: such a
    window is shuffled, and its cases are dealt to batches so that these have about equal work.
    Rows are read, decoded and packed in worker processes. Every rank gets equally many batches;
    cases that fill no batch are left out of an epoch, others in each.

    What a batch holds is a function of seed, epoch and its number. `state_dict` therefore is a few
    numbers, and a loader that has loaded it goes on with the very batches that were left, reading
    at most one window again.

    Cases are not augmented.

    Args:
        store: The data set; ``CaseStore.open("hf://datasets/<namespace>/<name>")`` for the Hub,
            where the stored token is used.
        split: Which of its splits.
        packer: Made for its columns.
        batch_size: Cases of a batch on one rank.
        seed: Of all shuffles, at least 0.
        rank: This process.
        num_ranks: Processes that train together.
        num_workers: Processes that read; 0 reads in this one. There are at most as many of use as a
            rank has shards.
        window_batches: Batches whose rows are in each worker's memory, still compressed. More
            shuffle and balance better.

    Raises:
        ValueError: If the data set has no such split or other columns than the packer, there are
            too few cases or shards, or a number is out of its range.

    Example:
        >>> from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
        >>> store = CaseStore.open("cases")  # doctest: +SKIP
        >>> packer = CasePacker(store.features, RadDiagImageProcessor())  # doctest: +SKIP
        >>> batches = StreamingCases(store, Split.TRAIN, packer, 8)  # doctest: +SKIP
    """

    def __init__(
        self,
        store: CaseStore,
        split: Split,
        packer: CasePacker,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        num_ranks: int = 1,
        num_workers: int = 0,
        window_batches: int = 16,
    ) -> None:
        if split not in store.shards:
            raise ValueError(f"{store.location}: has no split {split}, only {[*store.shards]}")
        if store.features != packer.features:
            raise ValueError(f"{store.location}: its columns are not those of the packer")
        if seed < 0 or window_batches < 1 or num_workers < 0:
            raise ValueError(
                f"seed is {seed}, window_batches {window_batches}, num_workers {num_workers}; "
                "expected at least 0, 1 and 0"
            )
        if not 0 <= rank < num_ranks:
            raise ValueError(f"rank is {rank} of {num_ranks}, expected one below")
        self.store, self.split, self.packer = store, split, packer
        self.seed, self.rank, self.window_batches = seed, rank, window_batches
        self.num_workers = num_workers
        self.order = StreamingOrder(
            store.shard_sizes(split), batch_size, num_ranks, max(1, num_workers)
        )
        self.epoch = 0
        self._num_done = 0
        self._starts_at = 0

    def __len__(self) -> int:
        """Batches of an epoch on each rank."""
        return self.order.num_batches

    def set_epoch(self, epoch: int) -> None:
        """Choose the shuffle of an epoch; another than the present one starts at its beginning."""
        if epoch != self.epoch:
            self._num_done = self._starts_at = 0
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yield the batches of the epoch, or those that are left of it after `load_state_dict`."""
        self._num_done, self._starts_at = self._starts_at, 0
        next_lane, left = self.order.share(self.rank, self._num_done)
        lanes = tuple(
            (lane, left[lane])
            for lane in (*range(next_lane, len(left)), *range(next_lane))  # whose turn it is first
        )
        part = _EpochPart(
            self.store, self.split, self.packer, self.order, self.rank, self.window_batches,
            (self.seed, self.epoch), lanes,
        )  # fmt: skip
        loader: DataLoader[dict[str, Tensor]] = DataLoader(
            part, batch_size=None, num_workers=self.num_workers
        )
        for batch in loader:
            self._num_done += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the epoch stands: after the last batch that was yielded. It fits JSON.

        It is the same on every rank.
        """
        return {"epoch": self.epoch, "num_done": self._num_done, "stream": self._stream()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was taken.

        Raises:
            ValueError: If it was taken of another stream: other data, seed, batch size, window, or
                numbers of ranks or workers.
        """
        stream = self._stream()
        differing = [name for name in stream if state["stream"].get(name) != stream[name]]
        if differing:
            told = ", ".join(
                f"{name} was {state['stream'].get(name)} and is {stream[name]}"
                for name in differing
                if name != "shard_rows"
            )
            raise ValueError(
                "the stream differs from that which was interrupted: "
                + (told or "its shards hold other numbers of cases")
            )
        self.epoch = state["epoch"]
        self._num_done = self._starts_at = state["num_done"]

    def _stream(self) -> dict[str, Any]:
        return {
            "shard_rows": list(self.order.shard_rows),
            "split": str(self.split),
            "seed": self.seed,
            "batch_size": self.order.batch_size,
            "window_batches": self.window_batches,
            "num_ranks": self.order.num_ranks,
            "num_workers": self.num_workers,
        }


@dataclass(frozen=True)
class _EpochPart(IterableDataset[dict[str, Tensor]]):
    """What is left of an epoch on one rank: worker ``k`` yields the batches of ``lanes[k]``."""

    store: CaseStore
    split: Split
    packer: CasePacker
    order: StreamingOrder
    rank: int
    window_batches: int
    seed: tuple[int, int]
    lanes: tuple[tuple[int, range], ...]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        lane, batches = self.lanes[0 if worker is None else worker.id]
        if not batches:
            return
        seed = (*self.seed, self.rank, lane)
        shards = shuffled_shards(self.order.shards(self.rank, lane), seed)
        size = self.order.batch_size * self.window_batches
        window = batches.start // self.window_batches
        rows = self.store.iter_rows(self.split, shards, start=window * size)
        number = window * self.window_batches
        while number < batches.stop:
            in_window = list(islice(rows, size))
            sampler = BalancedBatchSampler(
                [self._work(row) for row in in_window],
                self.order.batch_size,
                seed=int(np.random.SeedSequence((*seed, window)).generate_state(1)[0]),
            )
            for chosen in sampler:
                if batches.start <= number < batches.stop:
                    yield collate_cases([self.packer(in_window[row]) for row in chosen])
                number += 1
            window += 1

    def _work(self, row: Mapping[str, Any]) -> int:
        most = self.packer.processor.max_slices
        return sum(min(scan["volume"]["shape"][0], most) for scan in row["scans"])
