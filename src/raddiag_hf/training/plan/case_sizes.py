"""How large the cases of a data set are, on disk or not: the worst step, and the mean one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.data.batches.case_augmentation import UNKNOWN_ANATOMY, CaseAugmentation
from raddiag_hf.data.batches.training_cases import encoded_slices
from raddiag_hf.data.store.case_metadata import CaseMetadata
from raddiag_hf.data.store.scan_record import ANATOMIES

NUM_LARGEST = 8
"""Cases that are as large as any can be, where sizes are drawn: the worst case is among them."""
SIMULATED_CASES = 2000
"""Training cases that are drawn for a mean."""

RP3D_TRAIN_CASES, RP3D_VALIDATION_CASES = 29_536, 3_628
RP3D_MEAN_SCANS, RP3D_MOST_SCANS = 195_010 / 40_936, 30
"""Paper, section 4.3 and Figure 2c; validation cases are those of 40,936 in neither split."""
RP3D_SLICES: Mapping[int, float] = {1: 0.25, 32: 0.75}
"""Nothing says how many of its scans are volumes: an assumption, and rather on the costly side."""


@dataclass(frozen=True)
class CaseSizes:
    """Scans and slices of cases: all that a plan needs to know of them.

    Attributes:
        anatomies: Class id of each case's region, ``(cases,)``; only different ones are mixed.
        scan_cases: Row of the case of each scan, ascending, ``(scans,)``.
        scan_depths: Slices of each scan, ``(scans,)``.
    """

    anatomies: NDArray[np.int64]
    scan_cases: NDArray[np.int64]
    scan_depths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.anatomies)

    @classmethod
    def of(cls, metadata: CaseMetadata) -> "CaseSizes":
        """Return the sizes of cases of a data set."""
        return cls(metadata.anatomies, metadata.scan_cases, metadata.scan_depths)

    @classmethod
    def draw(
        cls,
        num_cases: int,
        scans_per_case: Mapping[int, float],
        slices_per_scan: Mapping[int, float],
        seed: int = 0,
    ) -> "CaseSizes":
        """Draw sizes of cases of all anatomies, `NUM_LARGEST` of them as large as possible.

        Args:
            num_cases: At least 1.
            scans_per_case: Number of scans -> share of the cases; shares need not sum to 1.
            slices_per_scan: Number of slices -> share of the scans, likewise.
            seed: Of the draws.

        Raises:
            ValueError: If there is no case, or a number of scans or slices is below 1.
        """
        if num_cases < 1 or min(*scans_per_case, *slices_per_scan) < 1:
            raise ValueError(
                f"num_cases is {num_cases}, scans_per_case {dict(scans_per_case)}, slices_per_scan "
                f"{dict(slices_per_scan)}; expected at least 1 everywhere"
            )
        random = np.random.default_rng(seed)
        counts = _draw(scans_per_case, num_cases, random)
        counts[:NUM_LARGEST] = max(scans_per_case)
        depths = _draw(slices_per_scan, int(counts.sum()), random)
        depths[: counts[:NUM_LARGEST].sum()] = max(slices_per_scan)
        known = [number for number in range(len(ANATOMIES)) if number != UNKNOWN_ANATOMY]
        anatomies = np.resize(np.array(known), num_cases)
        return cls(anatomies, np.repeat(np.arange(num_cases), counts), depths)

    @classmethod
    def of_rp3d(cls, num_cases: int = RP3D_TRAIN_CASES, seed: int = 0) -> "CaseSizes":
        """Return sizes as RP3D-DiagDS has them, as far as the paper says.

        Figure 2c is a falling bar plot without numbers: a geometric distribution with the mean and
        the largest number of scans of the text stands for it, `RP3D_SLICES` for the depths.
        """
        counts = np.arange(1, RP3D_MOST_SCANS + 1)
        low, high = 0.0, 1.0
        for _ in range(50):
            ratio = (low + high) / 2
            mean = (counts * ratio**counts).sum() / (ratio**counts).sum()
            low, high = (ratio, high) if mean < RP3D_MEAN_SCANS else (low, ratio)
        shares = {int(count): float(ratio**count) for count in counts}
        return cls.draw(num_cases, shares, RP3D_SLICES, seed)

    def slices(self, max_slices: int, grey_picture_slices: int = 1) -> list[NDArray[np.int64]]:
        """Return the encoded slices of each scan of each case."""
        slices = encoded_slices(self.scan_depths, max_slices, grey_picture_slices)
        return np.split(slices, np.searchsorted(self.scan_cases, np.arange(1, len(self))))


def heaviest_batch(
    sizes: CaseSizes,
    num_cases: int,
    max_slices: int,
    *,
    grey_picture_slices: int = 1,
    augmentation: CaseAugmentation | None = None,
) -> list[int]:
    """Return the encoded slices of each scan of the training cases that have most.

    Args:
        sizes: Of the training cases.
        num_cases: Cases of a micro-batch.
        max_slices: The image processor's.
        grey_picture_slices: The image processor's.
        augmentation: Where it mixes, a case counts with the heaviest cases that it can be mixed
            with, each of another known anatomy; ``max_scans`` and ``slice_budget`` bound it. A
            budget is taken to be used up to its last slice.
    """
    max_scans = None if augmentation is None else augmentation.max_scans
    of_cases = sizes.slices(max_slices, grey_picture_slices)
    scans = [np.sort(one)[::-1][:max_scans] for one in of_cases]
    work = np.array([one.sum() for one in scans])
    num_partners = 0
    if augmentation is not None and augmentation.mixing_probability:
        num_partners = augmentation.max_mixed_cases - 1
    of_anatomy = [
        int(rows[work[rows].argmax()])
        for anatomy in np.unique(sizes.anatomies)
        if anatomy != UNKNOWN_ANATOMY
        for rows in [np.flatnonzero(sizes.anatomies == anatomy)]
    ]
    of_anatomy.sort(key=lambda row: -work[row])

    def with_partners(row: int) -> list[int]:
        anatomy = sizes.anatomies[row]
        if anatomy == UNKNOWN_ANATOMY:
            return [row]
        others = [one for one in of_anatomy if sizes.anatomies[one] != anatomy]
        return [row, *others[:num_partners]]

    budget = None if augmentation is None else augmentation.slice_budget
    mixtures = [
        _within([int(one) for row in with_partners(first) for one in scans[row]], budget)
        for first in range(len(scans))
    ]
    heaviest = sorted(mixtures, key=lambda counts: -sum(counts))[:num_cases]
    return [count for counts in heaviest for count in counts]


def mean_slices(
    sizes: CaseSizes,
    max_slices: int,
    *,
    grey_picture_slices: int = 1,
    augmentation: CaseAugmentation | None = None,
    seed: int = 0,
) -> float:
    """Return how many slices a case has on average, as training sees it.

    With an augmentation, the mean of `SIMULATED_CASES` draws; key slices count as known.
    """
    cases = sizes.slices(max_slices, grey_picture_slices)
    if augmentation is None:
        return float(np.mean([scans.sum() for scans in cases]))
    random = np.random.default_rng(seed)
    total = 0.0
    for row in random.integers(len(cases), size=SIMULATED_CASES).tolist():
        used = 0
        for mixed in (row, *augmentation.draw_partners(row, sizes.anatomies, random)):
            drawn = cases[mixed][augmentation.draw_scans(len(cases[mixed]), random)]
            kept = drawn[augmentation.fit_budget(drawn.tolist(), used, random)]
            alone = random.random(len(kept)) < augmentation.key_slice_probability
            shares = np.maximum(np.minimum(kept, 2), kept * augmentation.slice_share)
            used += int(np.where(alone, grey_picture_slices, shares).sum())
        total += used
    return total / SIMULATED_CASES


def _within(counts: Sequence[int], budget: int | None) -> list[int]:
    """Return slices of scans of which the first is whole, up to the budget."""
    if budget is None:
        return list(counts)
    kept = list(counts[:1])
    for count in counts[1:]:
        if (left := budget - sum(kept)) > 0:
            kept.append(min(count, left))
    return kept


def _draw(shares: Mapping[int, float], size: int, random: np.random.Generator) -> NDArray[np.int64]:
    weights = np.array(list(shares.values()))
    return random.choice(np.array(list(shares), np.int64), size, p=weights / weights.sum())
