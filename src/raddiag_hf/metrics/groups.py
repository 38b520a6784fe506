"""Groups of classes over which metrics are averaged."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

HEAD_CASES = 100
TAIL_CASES = 30

ALL = "all"
"""The group of every class; always reported."""


def frequency_groups(
    case_counts: ArrayLike, *, head_cases: int = HEAD_CASES, tail_cases: int = TAIL_CASES
) -> dict[str, NDArray[np.intp]]:
    """Sort classes into head, body and tail by how many cases they have.

    Args:
        case_counts: Positive cases of each class in the whole data set (not in the test split),
            shape ``(classes,)``.
        head_cases: A head class has at least this many cases.
        tail_cases: A tail class has fewer than this many.

    Returns:
        Column indices under ``"head"``, ``"body"`` and ``"tail"``.

    Raises:
        ValueError: If the counts are not one row of whole numbers, or the limits contradict.

    Source:
        The paper, section 4.3: head [100, ...), medium [30, 100), tail [0, 30). The reference cuts
        a label file sorted by frequency at fixed columns, which gives the same groups for its two
        label sets only.
    """
    counts = np.asarray(case_counts)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(
            f"case_counts must be one integer per class, got shape {counts.shape} of {counts.dtype}"
        )
    if tail_cases > head_cases:
        raise ValueError(f"tail_cases is {tail_cases}, more than head_cases {head_cases}")
    return {
        "head": np.flatnonzero(counts >= head_cases),
        "body": np.flatnonzero((counts >= tail_cases) & (counts < head_cases)),
        "tail": np.flatnonzero(counts < tail_cases),
    }


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
