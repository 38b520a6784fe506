"""The Trainer for packed batches: balanced steps, exact means, named losses, no NaN learnt."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from raddiag_hf.checkpoints.loaded_model import check_label_texts
from raddiag_hf.core.trainer import FiniteTrainer
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.sampling import BalancedBatchSampler
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

PARTIAL_LOSS_PREFIX = "loss_"
KEY_SLICE_LOSS = "loss_key_slice"


class RadDiagTrainer(FiniteTrainer):
    """Train `RadDiagForImageClassification` on cases packed by its image processor.

    Beside what `transformers.Trainer` does:

    - The mean of each partial loss since the last log entry is logged under its name.
    - A step's loss is the mean over the known labels of all its cases, and its key-slice loss over
      all its scans with a known key slice, however the step is cut into micro-batches and
      processes.
    - A loss or a weight that is not finite ends the training before it reaches a checkpoint.

    Packed tensors must not be cut along their first axis, so batches are neither dispatched nor
    split by Accelerate, and `torch.nn.DataParallel` does not work: use one process per device.

    Args:
        train_slice_counts: Slices of each training case; see `count_slices`. With them, batches are
            those of `StepBatchSampler`: balanced by slices, the same steps for any number of
            processes. Without, those of the Trainer.
        train_repeat_factors: How often each training case comes in an epoch; see `repeat_factors`.

    Raises:
        LabelTextsMissingError: If the model has a knowledge classifier without label texts.
    """

    def __init__(
        self,
        *args: Any,
        train_slice_counts: Sequence[int] | None = None,
        train_repeat_factors: NDArray[np.float64] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("data_collator", collate_cases)
        super().__init__(*args, **kwargs)
        if isinstance(self.model, RadDiagForImageClassification):
            check_label_texts(self.model)
        self.train_slice_counts = train_slice_counts
        self.train_repeat_factors = train_repeat_factors
        self._partial_sums: dict[str, Tensor] = {}
        self._num_partial = 0
        self._loss_shares: Iterator[Tensor] = iter(())

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the loader of this process's training batches."""
        if self.train_slice_counts is None:
            return super().get_train_dataloader()
        args = self.args
        sampler = StepBatchSampler(
            self.train_slice_counts,
            args.per_device_train_batch_size,
            num_accumulated=args.gradient_accumulation_steps,
            rank=args.process_index,
            num_ranks=args.world_size,
            seed=args.seed if args.data_seed is None else args.data_seed,
            repeat_factors=self.train_repeat_factors,
        )
        self.add_callback(_EpochSetter(sampler, self.train_dataset))
        # Not prepared by Accelerate: it would share out again what is this process's own already.
        return DataLoader(
            self.train_dataset,
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            multiprocessing_context=args.dataloader_multiprocessing_context,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """Fetch the batches of a step, and work out each one's share of the step's means."""
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            counts = torch.stack([_count_terms(batch) for batch in batches]).to(device)
            totals = self.accelerator.reduce(counts.sum(0), reduction="sum")
            # The Trainer averages over micro-batches, and DDP over processes.
            in_step = len(batches) * self.accelerator.num_processes
            self._loss_shares = iter(counts * in_step / totals.clamp_min(1))
        return batches, num_items

    def compute_loss(
        self,
        model: RadDiagForImageClassification,
        inputs: Mapping[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a batch, in training as its share of the step's."""
        loss, outputs = super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        if model.training:
            parts = {
                name: part
                for name, part in outputs.items()
                if name.startswith(PARTIAL_LOSS_PREFIX) and part is not None
            }
            share = next(self._loss_shares, None)
            if parts and share is not None:
                parts = {
                    name: part * share[int(name == KEY_SLICE_LOSS)] for name, part in parts.items()
                }
                loss = torch.stack(list(parts.values())).sum()
            for name, part in parts.items():
                self._partial_sums[name] = self._partial_sums.get(name, 0) + part.detach()
            self._num_partial += 1
        return (loss, outputs) if return_outputs else loss

    def advice(self) -> str:
        """Return what to try against divergence."""
        return (
            "lower training.learning_rate or training.max_grad_norm, or look for cases with broken "
            "pixels"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the partial losses to an entry that holds the training loss."""
        if "loss" in logs and self._num_partial:
            for name, total in sorted(self._partial_sums.items()):
                mean = self.accelerator.reduce(total / self._num_partial, reduction="mean")
                logs[name] = round(mean.item(), 6)
            self._partial_sums.clear()
            self._num_partial = 0
        super().log(logs, start_time)


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


class _EpochSetter(TrainerCallback):
    """Tells sampler and cases which epoch begins, also in an epoch that is resumed halfway."""

    def __init__(self, sampler: StepBatchSampler, cases: Any) -> None:
        self.listeners = [one for one in (sampler, cases) if hasattr(one, "set_epoch")]

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Set the epoch before its first batch is drawn."""
        for listener in self.listeners:
            listener.set_epoch(int(state.epoch or 0))


def _count_terms(batch: Mapping[str, Tensor]) -> Tensor:
    """Return the number of known labels of all cases, and of scans whose key slice is known."""
    num_known = float((~batch["labels"].isnan()).sum())
    if (key_slices := batch.get("key_slices")) is None:
        return torch.tensor([num_known, 0.0])
    has_key = (key_slices >= 0) & (key_slices < batch["slice_counts"])
    return torch.tensor([num_known, float(has_key.sum())])
