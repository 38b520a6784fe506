"""Labels and scores as every metric of this package takes them: checked once, where they enter."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating[Any]]

MAX_CASES = 2**24
"""Cases are counted in float32, which holds every integer up to this one."""


def check_predictions(labels: ArrayLike, scores: ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return labels and scores as arrays that can be evaluated.

    Args:
        labels: Shape ``(cases, classes)``, 0 or 1 (or booleans).
        scores: Shape ``(cases, classes)``, logits or probabilities; higher means more likely.
            float32 and float64 are taken as they are, everything else becomes float64 (float16:
            float32).

    Raises:
        ValueError: If a shape is wrong, a label is not 0 or 1, or a score is NaN or infinite; the
            message names the case and the class.
    """
    label_array, score_array = np.asarray(labels), np.asarray(scores)
    if label_array.ndim != 2 or label_array.shape != score_array.shape:
        raise ValueError(
            f"labels and scores must both be (cases, classes), but labels have shape "
            f"{label_array.shape} and scores {score_array.shape}"
        )
    if 0 in label_array.shape or len(label_array) > MAX_CASES:
        raise ValueError(
            f"expected 1 to {MAX_CASES} cases and at least one class, got {label_array.shape}"
        )
    return _as_bool(label_array), _as_float(score_array)


def _as_bool(labels: NDArray[Any]) -> BoolArray:
    if labels.dtype == np.bool_:
        return np.ascontiguousarray(labels)
    present = labels == 1
    valid = present | (labels == 0)
    if not valid.all():
        case, column = np.argwhere(~valid)[0]
        raise ValueError(
            f"labels must be 0 or 1, but case {case}, class {column} has {labels[case, column]}"
        )
    return np.ascontiguousarray(present)


def _as_float(scores: NDArray[Any]) -> FloatArray:
    if scores.dtype not in (np.float32, np.float64):
        scores = scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)
    finite = np.isfinite(scores)
    if not finite.all():
        case, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"scores must be finite, but case {case}, class {column} has {scores[case, column]}"
        )
    return scores
