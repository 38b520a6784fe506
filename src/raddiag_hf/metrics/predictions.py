"""Labels, scores and groups of classes as every metric takes them: checked where they enter."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.floating[Any]]

MAX_CASES = 2**24
"""Cases are counted in float32, which holds every integer up to this one."""

ALL = "all"
"""The group of every class; always reported."""


def check_predictions(labels: ArrayLike, scores: ArrayLike) -> tuple[BoolArray, FloatArray]:
    """Return labels and scores as arrays that can be evaluated.

    A case counts for a class only where its label is known: elsewhere it gets no score, NaN, which
    reaches no level, threshold or bin.

    Args:
        labels: Shape ``(cases, classes)``, 0 or 1 (or booleans); NaN where unknown.
        scores: Shape ``(cases, classes)``, logits or probabilities; higher means more likely.
            float32 and float64 are taken as they are, everything else becomes float64 (float16:
            float32).

    Returns:
        Labels, False where unknown, and scores, NaN where the label is unknown.

    Raises:
        ValueError: If a shape is wrong, a label is not 0, 1 or NaN, all are unknown, or a score is
            NaN or infinite; the message names the case and the class.
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
    present, is_unknown = _as_bool(label_array)
    score_array = _as_float(score_array)
    if is_unknown is None:
        return present, score_array
    if is_unknown.all():
        raise ValueError("all labels of all cases are unknown")
    return present, np.where(is_unknown, score_array.dtype.type(np.nan), score_array)


def known_counts(scores: FloatArray) -> NDArray[np.intp]:
    """Return how many cases have a score, and so a known label, of each class: ``(classes,)``.

    Args:
        scores: As `check_predictions` returns them.
    """
    if not np.isnan(scores.min(initial=np.inf)):  # which takes no room
        return np.full(scores.shape[1], len(scores), np.intp)
    return np.count_nonzero(~np.isnan(scores), axis=0)


def resolve_groups(
    groups: Mapping[str, ArrayLike] | None, num_classes: int
) -> dict[str, NDArray[np.intp]]:
    """Return the column indices of each group, with the group of all classes in the last place.

    Args:
        groups: Column indices, or a boolean mask over the classes, by name. Groups may overlap.
        num_classes: Number of columns.

    Raises:
        ValueError: If a group names a class twice or one that does not exist.
    """
    resolved: dict[str, NDArray[np.intp]] = {}
    for name, members in (groups or {}).items():
        chosen = np.asarray(members)
        if chosen.dtype == np.bool_:
            if chosen.shape != (num_classes,):
                raise ValueError(
                    f"the mask of group {name!r} has shape {chosen.shape}, "
                    f"expected ({num_classes},)"
                )
            chosen = np.flatnonzero(chosen)
        indices = chosen.astype(np.intp)
        if indices.ndim != 1 or len(np.unique(indices)) != len(indices):
            raise ValueError(f"group {name!r} must list each of its classes once")
        if len(indices) and not 0 <= indices.min() <= indices.max() < num_classes:
            raise ValueError(
                f"group {name!r} holds class {indices.min()} to {indices.max()}, "
                f"but there are {num_classes} classes"
            )
        resolved[name] = indices
    resolved[ALL] = np.arange(num_classes)
    return resolved


def _as_bool(labels: NDArray[Any]) -> tuple[BoolArray, BoolArray | None]:
    """Return which labels are there and which are unknown; None where all are known."""
    if labels.dtype == np.bool_:
        return np.ascontiguousarray(labels), None
    present = labels == 1
    valid = present | (labels == 0)
    is_unknown = None
    if not valid.all() and np.issubdtype(labels.dtype, np.floating):
        is_unknown = np.isnan(labels)
        valid |= is_unknown
    if not valid.all():
        case, column = np.argwhere(~valid)[0]
        raise ValueError(
            f"labels must be 0 or 1, but case {case}, class {column} has {labels[case, column]}"
        )
    return np.ascontiguousarray(present), is_unknown


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
