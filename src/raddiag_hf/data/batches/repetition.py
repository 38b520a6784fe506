"""How often cases with rare labels are repeated in an epoch."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

_PARTS = 1 << 20
"""Repetitions are counted in these parts of one, so that their sums are exact in any order."""


def repeat_factors(
    labels: csr_array, threshold: float = 1e-3, known_counts: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return how often each case should come in an epoch, on average, at least once.

    A label that fewer than ``threshold`` of the cases have is worth ``sqrt(threshold / share)``;
    a case comes as often as its rarest label is worth. For `BalancedBatchSampler`.

    Args:
        labels: Which training case has which label, boolean, ``(cases, labels)``; see
            `CaseMetadata`.
        threshold: Share of the cases from which on labels are not rare, 0 to 1.
        known_counts: Cases of which each label is known, ``(labels,)``, whose share it is; None:
            all.

    Raises:
        ValueError: If there is no case, or the threshold is out of its range.

    Source:
        Gupta et al. 2019, LVIS, section 5.1 (repeat factor sampling); there the threshold is 0.001.
    """
    num_cases = labels.shape[0]
    if num_cases == 0 or not 0 <= threshold <= 1:
        raise ValueError(
            f"threshold is {threshold} for {num_cases} cases, expected 0 to 1 and at least one case"
        )
    counts = np.bincount(labels.indices, minlength=labels.shape[1])
    known = np.asarray(num_cases if known_counts is None else known_counts)
    worth = np.sqrt(threshold * known / np.maximum(counts, 1)).clip(1)
    factors = np.ones(num_cases)
    np.maximum.at(
        factors, np.repeat(np.arange(num_cases), np.diff(labels.indptr)), worth[labels.indices]
    )
    return factors


def num_drawn(factors: NDArray[np.float64]) -> int:
    """Return how many cases `draw_repeated` draws at least, whatever the draw."""
    return int(_in_parts(factors).sum()) // _PARTS


def draw_repeated(factors: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.intp]:
    """Return the cases of an epoch in random order, each about as often as its factor.

    A case comes as often as its factor, rounded up or down at random so that the mean is right; the
    whole is one more than `num_drawn` at most. Repetition ``k`` of case ``i`` is ``i + k * cases``,
    so that it can be augmented differently; see `TrainingCases`.
    """
    order = random.permutation(len(factors))
    ends = random.integers(_PARTS) + np.cumsum(_in_parts(factors)[order])
    times = np.diff(ends // _PARTS, prepend=0)
    cases = np.repeat(order, times)
    repetitions = np.arange(len(cases)) - np.repeat(np.cumsum(times) - times, times)
    return random.permutation(cases + repetitions * len(factors))


def _in_parts(factors: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(factors * _PARTS).astype(np.int64)
