"""Frequency bands: head, body and tail labels, by their number of training cases.

Source:
    The paper, section 4.3.1: head [100, ...), medium [30, 100), tail [0, 30). The reference cuts a
    label file sorted by frequency at fixed columns, which gives the same bands for its two label
    sets only.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings name the bounds, and the command line's help needs no numpy
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

HEAD_FROM = 100
"""Training cases from which a label is head."""
TAIL_BELOW = 30
"""Training cases below which a label is tail."""


class FrequencyBand(StrEnum):
    """How many training cases a label has; metrics are reported for each band."""

    HEAD = "head"
    """At least `HEAD_FROM` cases."""
    BODY = "body"
    """Between the two; the paper's tables say medium."""
    TAIL = "tail"
    """Fewer than `TAIL_BELOW` cases."""


def frequency_bands(
    train_counts: "ArrayLike", *, head_from: int = HEAD_FROM, tail_below: int = TAIL_BELOW
) -> tuple[FrequencyBand, ...]:
    """Return head, body or tail for each label.

    Args:
        train_counts: Training cases of each label (not those of the test split), whole numbers of
            shape ``(labels,)``.
        head_from: A head label has at least this many.
        tail_below: A tail label has fewer than this many.

    Raises:
        ValueError: If the counts are not one row of whole numbers, or the bounds contradict.

    Example:
        >>> [band.value for band in frequency_bands([500, 99, 3])]
        ['head', 'body', 'tail']
    """
    import numpy as np

    counts = np.asarray(train_counts)
    if counts.ndim != 1 or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(
            f"train_counts must be one integer per label, got shape {counts.shape} of "
            f"{counts.dtype}"
        )
    check_band_bounds(head_from, tail_below)
    return tuple(
        FrequencyBand.HEAD
        if count >= head_from
        else FrequencyBand.TAIL
        if count < tail_below
        else FrequencyBand.BODY
        for count in counts.tolist()
    )


def band_columns(
    train_counts: "ArrayLike", *, head_from: int = HEAD_FROM, tail_below: int = TAIL_BELOW
) -> "dict[str, NDArray[np.intp]]":
    """Return the columns of each band, under ``"head"``, ``"body"`` and ``"tail"``.

    They are the groups over which metrics are averaged. Arguments and errors are those of
    `frequency_bands`.
    """
    import numpy as np

    bands = frequency_bands(train_counts, head_from=head_from, tail_below=tail_below)
    found = np.array(bands, dtype=object)
    return {band.value: np.flatnonzero(found == band) for band in FrequencyBand}


def describe_bands(
    head_from: int = HEAD_FROM, tail_below: int = TAIL_BELOW
) -> dict[FrequencyBand, str]:
    """Say which labels belong to each band, for legends and captions."""
    return {
        FrequencyBand.HEAD: f"{head_from} training cases or more",
        FrequencyBand.BODY: f"{tail_below} to {head_from - 1}",
        FrequencyBand.TAIL: f"fewer than {tail_below}",
    }


def check_band_bounds(head_from: int, tail_below: int) -> None:
    """Refuse bounds by which a label would be head and tail at once.

    Raises:
        ValueError: If there are such.
    """
    if tail_below > head_from:
        raise ValueError(f"tail_below is {tail_below}, more than head_from {head_from}")
