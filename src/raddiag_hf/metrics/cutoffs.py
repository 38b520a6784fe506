"""Probability thresholds as cut-offs on logits."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit


def logit_cutoffs(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return the lowest float64 logits whose sigmoid reaches the given probabilities.

    ``logit >= cutoff`` then decides exactly as ``sigmoid(logit) >= probability`` in float64 does,
    which the inverse function alone would not: it is off by rounding, and a probability of 1.0
    belongs to a whole range of logits.

    Args:
        probabilities: Thresholds; 0 or less is always reached (``-inf``), more than 1 never
            (``inf``).
    """
    target = np.asarray(probabilities, dtype=np.float64)
    # The sigmoid leaves 0 at a logit of about -745 and reaches 1.0 at about 37.
    low, high = np.full(target.shape, -800.0), np.full(target.shape, 40.0)
    while True:
        middle = low + (high - low) / 2.0
        moves = (middle > low) & (middle < high)
        if not moves.any():
            break
        reached = expit(middle) >= target
        high = np.where(reached & moves, middle, high)
        low = np.where(~reached & moves, middle, low)
    return np.where(target <= 0.0, -np.inf, np.where(target > 1.0, np.inf, high))
