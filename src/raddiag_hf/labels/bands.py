"""Frequency bands: head, body and tail labels, by their training cases or by all their cases.

Source:
    The paper, section 4.3.1: head [100, ...), medium [30, 100), tail [0, 30) cases of the whole
    data set. The reference cuts a label file sorted by frequency at fixed columns, which gives the
    same bands for its two label sets only.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # settings name the bounds, and the command line's help needs no numpy
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

HEAD_FROM = 100
"""Cases from which a label is head."""
TAIL_BELOW = 30
"""Cases below which a label is tail."""


class FrequencyBand(StrEnum):
    """How many cases a label has; metrics are reported for each band."""

    HEAD = "head"
    """At least `HEAD_FROM` cases."""
    BODY = "body"
    """Between the two; the paper's tables say medium."""
    TAIL = "tail"
    """Fewer than `TAIL_BELOW` cases."""


class CountedCases(StrEnum):
    """Which cases of a label are counted for its band."""

    TRAINING = "training"
    """Those of the training split: how much a model saw of the label."""
    WHOLE = "whole"
    """Those of all splits, as in the paper's tables."""


@dataclass(frozen=True)
class BandRule:
    """How labels are sorted into bands.

    Attributes:
        counted: Which cases are counted.
        head_from: A head label has at least this many.
        tail_below: A tail label has fewer than this many.

    Raises:
        ValueError: If the bounds contradict.
    """

    counted: CountedCases = CountedCases.TRAINING
    head_from: int = HEAD_FROM
    tail_below: int = TAIL_BELOW

    def __post_init__(self) -> None:
        check_band_bounds(self.head_from, self.tail_below)

    @property
    def cases(self) -> str:
        """What is counted, in words."""
        if self.counted is CountedCases.TRAINING:
            return "training cases"
        return "cases of the whole data set"

    def columns(self, counts: "ArrayLike") -> "dict[str, NDArray[np.intp]]":
        """Return the columns of each band; see `band_columns`."""
        return band_columns(counts, head_from=self.head_from, tail_below=self.tail_below)

    def bounds(self) -> dict[FrequencyBand, str]:
        """Say which labels belong to each band, for legends."""
        return {
            FrequencyBand.HEAD: f"{self.head_from} {self.cases} or more",
            FrequencyBand.BODY: f"{self.tail_below} to {self.head_from - 1}",
            FrequencyBand.TAIL: f"fewer than {self.tail_below}",
        }

    def describe(self) -> str:
        """Say in a sentence which labels belong to each band, for notes."""
        head, body, tail = self.bounds().values()
        return f"Head labels have {head}, medium ones {body}, tail ones {tail}."


def frequency_bands(
    counts: "ArrayLike", *, head_from: int = HEAD_FROM, tail_below: int = TAIL_BELOW
) -> tuple[FrequencyBand, ...]:
    """Return head, body or tail for each label.

    Args:
        counts: Cases of each label, whole numbers of shape ``(labels,)``: those of the training
            split, or of all splits.
        head_from: A head label has at least this many.
        tail_below: A tail label has fewer than this many.

    Raises:
        ValueError: If the counts are not one row of whole numbers, or the bounds contradict.

    Example:
        >>> [band.value for band in frequency_bands([500, 99, 3])]
        ['head', 'body', 'tail']
    """
    import numpy as np

    of_label = np.asarray(counts)
    if of_label.ndim != 1 or not np.issubdtype(of_label.dtype, np.integer):
        raise ValueError(
            f"counts must be one integer per label, got shape {of_label.shape} of {of_label.dtype}"
        )
    check_band_bounds(head_from, tail_below)
    return tuple(
        FrequencyBand.HEAD
        if count >= head_from
        else FrequencyBand.TAIL
        if count < tail_below
        else FrequencyBand.BODY
        for count in of_label.tolist()
    )


def band_columns(
    counts: "ArrayLike", *, head_from: int = HEAD_FROM, tail_below: int = TAIL_BELOW
) -> "dict[str, NDArray[np.intp]]":
    """Return the columns of each band, under ``"head"``, ``"body"`` and ``"tail"``.

    They are the groups over which metrics are averaged. Arguments and errors are those of
    `frequency_bands`.
    """
    import numpy as np

    bands = frequency_bands(counts, head_from=head_from, tail_below=tail_below)
    found = np.array(bands, dtype=object)
    return {band.value: np.flatnonzero(found == band) for band in FrequencyBand}


def check_band_bounds(head_from: int, tail_below: int) -> None:
    """Refuse bounds by which a label would be head and tail at once.

    Raises:
        ValueError: If there are such.
    """
    if tail_below > head_from:
        raise ValueError(f"tail_below is {tail_below}, more than head_from {head_from}")
