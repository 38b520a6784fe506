"""Random changes of a case in training: its scans, which of them are there, and what else is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raddiag_hf.data.store.scan_record import ANATOMIES
from raddiag_hf.imaging.augmentation import ScanAugmentation
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.scan_resampling import stretch_to_unit_range
from raddiag_hf.vocabulary import Anatomy

UNKNOWN_ANATOMY = ANATOMIES.index(Anatomy.UNKNOWN)
FEWEST_SLICES = 2
"""Slices that a scan keeps, where it has so many."""


@dataclass(frozen=True)
class CaseAugmentation:
    """How cases are changed at random in training; the defaults follow the paper.

    `TrainingCases` calls the steps in order: `draw_partners`; of each case `draw_scans` and
    `fit_budget`, and `augment_scans` once it is packed; `mix_cases` joins them. Scans are changed
    after they were resampled for the network: that is what the paper's code does, and it costs a
    fraction.

    Attributes:
        scan_augmentation: What is done to the pixels of single scans; None: nothing.
        key_slice_probability: Of replacing a scan of several slices by its key slice alone, where
            that is known (the nearest slice that the image processor kept).
        mixing_probability: Of mixing in a case of another anatomy; the mixture has the labels of
            both, and the work of both; it is normal only if both are. Asked again after each until
            ``max_mixed_cases``.
        max_mixed_cases: The most cases in a mixture, the first one counted.
        scan_drop_probability: Of leaving out a scan. A case keeps at least one; its labels stay,
            though what shows them may be gone.
        max_scans: The most scans of a case, drawn at random; None keeps all. Evaluation sees all.
        slice_budget: The most slices of a case or mixture, so that one step has a bound whatever
            the data: what scans of a case would go beyond are left out at random, but for one of
            the first case; a case is not mixed in of which no scan fits. None: no bound.
        slice_share: Of the slices of a scan, how many are kept, but no fewer than
            `FEWEST_SLICES`: one of each equal section at random, so that an epoch costs less and
            shows other slices than the last. 1 keeps all.
        shuffle_scans: Put the scans of a case in random order. Modality slots go by the order, so
            this decides which CT is the first.

    Raises:
        ValueError: If a probability or share is not one, or a number of cases, scans or slices is
            below 1.

    Source:
        Paper, sections 4.4 and 11.3. qiaoyu-zheng/RP3D-Diag, ``RadNet_Dataset_earlyAna``:
        ``n_aug`` is ``max_mixed_cases``, and ``prob`` that of no mixing, 0.7 as shipped. There, the
        anatomy mixed in is drawn by hand-set weights; here every case of another anatomy is as
        likely, and unknown anatomies are never mixed. There, scans beyond a fixed number are cut
        off at random (4 of a case: ``max_scans``); here each may be dropped as well. There, a
        mixture with a normal case stays normal beside a disease. The probabilities of dropping and
        of the key slice are ours.
    """

    scan_augmentation: ScanAugmentation | None = field(default_factory=ScanAugmentation)
    key_slice_probability: float = 0.15
    mixing_probability: float = 0.3
    max_mixed_cases: int = 2
    scan_drop_probability: float = 0.1
    max_scans: int | None = None
    slice_budget: int | None = None
    slice_share: float = 1.0
    shuffle_scans: bool = True

    def __post_init__(self) -> None:
        for name in (one.name for one in fields(self) if one.name.endswith("_probability")):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 to 1")
        if not 0 < self.slice_share <= 1:
            raise ValueError(
                f"slice_share is {self.slice_share}, expected more than 0 and at most 1"
            )
        for name in ("max_mixed_cases", "max_scans", "slice_budget"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, expected at least 1")

    @property
    def changes_scans(self) -> bool:
        """Whether it changes which scans a case has, or their order."""
        is_bounded = self.max_scans is not None or self.slice_budget is not None
        is_random = self.mixing_probability or self.scan_drop_probability or self.shuffle_scans
        return bool(is_bounded or is_random)

    def draw_partners(
        self, row: int, anatomies: NDArray[np.int64], random: np.random.Generator
    ) -> list[int]:
        """Return the rows of the cases to mix into one, each of an anatomy of its own.

        Args:
            row: Of the case itself.
            anatomies: Class id of each case's anatomy, ``(cases,)``.
            random: Where the draws come from.
        """
        mixed = [row]
        while len(mixed) < self.max_mixed_cases and random.random() < self.mixing_probability:
            present = anatomies[mixed]
            if UNKNOWN_ANATOMY in present:
                break
            others = np.flatnonzero(~np.isin(anatomies, [*present, UNKNOWN_ANATOMY]))
            if not len(others):
                break
            mixed.append(int(random.choice(others)))
        return mixed[1:]

    def draw_scans(self, num_scans: int, random: np.random.Generator) -> list[int]:
        """Return which scans of a case are kept, at least one, in their new order."""
        kept = np.flatnonzero(random.random(num_scans) >= self.scan_drop_probability)
        if not len(kept):
            kept = random.integers(num_scans, size=1)
        if self.max_scans is not None and len(kept) > self.max_scans:
            kept = np.sort(random.choice(kept, self.max_scans, replace=False))
        return (random.permutation(kept) if self.shuffle_scans else kept).tolist()

    def fit_budget(
        self, scan_slices: Sequence[int], used: int, random: np.random.Generator
    ) -> list[int]:
        """Return which scans of a case fit into what is left of the budget, in their order.

        Args:
            scan_slices: Slices of each scan.
            used: Slices of the cases that it is mixed with; with 0, at least one scan is kept.
            random: Where the draws come from.
        """
        if self.slice_budget is None:
            return list(range(len(scan_slices)))
        kept: list[int] = []
        for scan in random.permutation(len(scan_slices)).tolist():
            if used + scan_slices[scan] <= self.slice_budget or not used:
                kept.append(scan)
                used += scan_slices[scan]
        return sorted(kept)

    def augment_scans(
        self,
        case: Mapping[str, Tensor],
        processor: RadDiagImageProcessor,
        random: np.random.Generator,
    ) -> dict[str, Tensor]:
        """Return a packed case with changed pixels, and some scans as their key slice alone.

        Args:
            case: As the processor packs it; not changed in place.
            processor: What packed it; says how pictures look to this network.
            random: Where the draws come from.
        """
        stacks, keys = [], []
        scans = torch.split(case["pixel_values"], case["slice_counts"].tolist())
        for stack, key in zip(scans, case["key_slices"].tolist(), strict=True):
            is_picture = len(stack) == 1 or _is_repeated(stack, processor.grey_picture_slices)
            if random.random() < self.key_slice_probability and key >= 0 and not is_picture:
                stack, key, is_picture = stack[key : key + 1], 0, True
                if processor.rescale_range == "scan" and _is_grey(stack):  # windows keep theirs
                    stack = stretch_to_unit_range(stack, stack.min(), stack.max())
            if is_picture:
                changed = self._change(stack[:1], random)
                stack = changed.expand(processor.grey_picture_slices, -1, -1, -1)
            else:
                stack, key = self._draw_slices(stack, key, random)
                stack = self._change(stack, random)
            stacks.append(stack)
            keys.append(key)
        return dict(case) | {
            "pixel_values": torch.cat(stacks),
            "slice_counts": torch.tensor([len(stack) for stack in stacks]),
            "key_slices": torch.tensor(keys),
        }

    def _draw_slices(
        self, stack: Tensor, key: int, random: np.random.Generator
    ) -> tuple[Tensor, int]:
        """Return the slices that are kept, and the place among them of the one next to the key."""
        count = max(FEWEST_SLICES, round(self.slice_share * len(stack)))
        if count >= len(stack):
            return stack, key
        sections = np.linspace(0, len(stack), count + 1).astype(int)
        kept = random.integers(sections[:-1], sections[1:])
        nearest = int(np.abs(kept - key).argmin()) if key >= 0 else key
        return stack[torch.from_numpy(kept)], nearest

    def _change(self, stack: Tensor, random: np.random.Generator) -> Tensor:
        if self.scan_augmentation is None:
            return stack
        planes = stack.flatten(0, 1).numpy()  # channels move together, as slices do
        return torch.from_numpy(self.scan_augmentation(planes, random)).view(stack.shape)


def mix_cases(
    cases: Sequence[Mapping[str, Tensor]], normal_columns: Sequence[int] = ()
) -> dict[str, Tensor]:
    """Return packed cases as one: the scans of all, and every label that one of them has.

    A label is unknown, NaN, where one case may have it and none has it for sure. A normal label
    beside a disease would be wrong, so a mixture keeps it only where no other label is present, and
    is unknown where another may be. Modality slots stay as they are: each case counts its own first
    CT.

    Args:
        cases: At least one, each a single packed case.
        normal_columns: Labels that say that nothing was found; see `labels.normal_labels`.
    """
    mixed = {key: torch.cat([case[key] for case in cases]) for key in cases[0]}
    is_present = (mixed["labels"] == 1).any(0, keepdim=True)
    labels = mixed["labels"].amax(0, keepdim=True).masked_fill(is_present, 1)  # else NaN wins
    if len(cases) > 1 and normal_columns:
        is_disorder = torch.ones(labels.shape[1], dtype=torch.bool)
        is_disorder[list(normal_columns)] = False
        if bool(is_present[:, is_disorder].any()):
            labels = labels.where(is_disorder, 0.0)
        elif bool(labels[:, is_disorder].isnan().any()):
            labels = labels.where(is_disorder | (labels == 0), torch.nan)
    return mixed | {
        "labels": labels,
        "scan_counts": mixed["scan_counts"].sum(0, keepdim=True),
    }


def _is_grey(stack: Tensor) -> bool:
    """Tell whether all channels of ``(slices, channels, height, width)`` are the same."""
    return all(torch.equal(stack[:, 0], stack[:, channel]) for channel in range(stack.shape[1]))


def _is_repeated(stack: Tensor, times: int) -> bool:
    return len(stack) == times and all(torch.equal(stack[0], other) for other in stack[1:])
