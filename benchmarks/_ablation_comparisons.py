"""Which cases a label of the ablation is ranked among, and what knows only a part of its name.

A composition that nobody trained on can be ranked far above chance by whoever sees no more than
that there is a lesion, or which region is shown. So it is also ranked among cases that share one
part of it, where that part is worth nothing, and scores that hold one part alone stand beside the
variants.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from _ablation_cases import LABELS, NUM_TRAINED, SEEN, UNSEEN, Cases
from _ablation_statistics import EvaluatedCases
from raddiag_hf.phantoms.cases import NORMAL, PhantomDisorder

_DISORDERS = (*SEEN, *UNSEEN)
_COLUMNS = [LABELS.names.index(disorder.name) for disorder in _DISORDERS]
_NORMAL_COLUMN = LABELS.names.index(NORMAL)
Mask = NDArray[np.bool_]


def trained_cases(cases: Cases) -> EvaluatedCases:
    """Return the cases with the trained labels, each also ranked among the cases of its region."""
    return EvaluatedCases(
        cases.labels[:, :NUM_TRAINED],
        cases.patient_ids,
        {"auc_within_anatomy": in_region(cases)[:, :NUM_TRAINED]},
    )


def unseen_cases(cases: Cases) -> EvaluatedCases:
    """Return the cases with the unseen labels.

    Each is also ranked among the cases of its region, among those of them that have a lesion,
    among those that have a lesion at its site (so that kind and size must tell), and among those
    that have a lesion of its kind (so that site and size must).
    """
    here = in_region(cases)
    among = {
        "auc_within_anatomy": here,
        "auc_within_lesions": here & has_lesion(cases),
        "auc_within_site": _shares(cases, lambda a, b: a.site == b.site),
        "auc_within_kind": here & _shares(cases, lambda a, b: a.kind == b.kind),
    }
    unseen = slice(NUM_TRAINED, None)
    return EvaluatedCases(
        cases.labels[:, unseen],
        cases.patient_ids,
        {name: rows[:, unseen] for name, rows in among.items()},
    )


def in_region(cases: Cases) -> Mask:
    """Return whether a case shows the region of a label, ``(cases, labels)``; Normal has none."""
    regions = [disorder.site.anatomy.value for disorder in _DISORDERS]
    shown = np.zeros(cases.labels.shape, dtype=np.bool_)
    shown[:, _COLUMNS] = cases.anatomies[:, None] == np.array(regions)
    return shown


def has_lesion(cases: Cases) -> Mask:
    """Return whether a case is not normal, ``(cases, labels)``, the same for all labels."""
    return np.broadcast_to(~cases.labels[:, [_NORMAL_COLUMN]], cases.labels.shape)


def _shares(cases: Cases, same: Callable[[PhantomDisorder, PhantomDisorder], bool]) -> Mask:
    """Return whether a case has any lesion that is the same as a label in one respect."""
    related = np.zeros((len(LABELS), len(LABELS)), dtype=np.bool_)
    for row, a in zip(_COLUMNS, _DISORDERS, strict=True):
        related[row, _COLUMNS] = [same(a, b) for b in _DISORDERS]
    return cases.labels @ related


@dataclass(frozen=True)
class Oracle:
    """A score that is right about one part of a label and says nothing of the others.

    Attributes:
        name: Of its row in the tables.
        scores: Score of each case for each label, ``(cases, labels)``.
    """

    name: str
    scores: Callable[[Cases], Mask]


ORACLES = (
    Oracle("oracle: any lesion", has_lesion),
    Oracle("oracle: region", in_region),
    Oracle("oracle: any lesion in the region", lambda cases: has_lesion(cases) & in_region(cases)),
)
