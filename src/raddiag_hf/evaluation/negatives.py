"""Two kinds of negative cases of a class: those of its own region of the body, and the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.evaluation.prediction_table import PredictionTable


@dataclass(frozen=True)
class CaseKinds:
    """The cases of one class by kind: boolean, shape ``(cases,)``, no case of two kinds.

    Attributes:
        positive: Cases that have the class.
        intra_negative: Negatives of the same anatomy: that of at least one positive case.
        inter_negative: Negatives of other anatomies.
        unknown: Negatives of unknown anatomy; all negatives where that of no positive is known.
    """

    positive: NDArray[np.bool_]
    intra_negative: NDArray[np.bool_]
    inter_negative: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def case_kinds(table: PredictionTable, column: int) -> CaseKinds:
    """Sort the cases of a table by what they are to one class.

    Args:
        table: Predictions; nothing but labels and anatomies is read.
        column: The class.

    Source:
        The paper, Figure 4a. It says "the same anatomy" as if a class had one; where its positive
        cases are of several regions, each of these counts as the same here.
    """
    positive = table.labels[:, column]
    regions = np.array([anatomy or "" for anatomy in table.anatomies])
    is_known = regions != ""
    own = np.unique(regions[positive & is_known])
    is_own = np.isin(regions, own)
    is_placed = is_known if len(own) else np.zeros_like(is_known)
    return CaseKinds(
        positive=positive,
        intra_negative=~positive & is_own,
        inter_negative=~positive & is_placed & ~is_own,
        unknown=~positive & ~is_placed,
    )
