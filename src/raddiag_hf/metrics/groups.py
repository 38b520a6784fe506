"""Groups of classes over which metrics are averaged."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

ALL = "all"
"""The group of every class; always reported."""


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
