"""Distribute units over parts so that every label is spread as the parts are sized."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def stratify(
    label_counts: csr_array, sizes: NDArray[np.int64], fractions: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Assign each unit (a patient with all cases) to one part.

    Labels are dealt out from the rarest to the most common. A unit goes to the part that lacks
    most cases of the label at hand, if possible one that also lacks the unit's other labels. Once
    no part lacks a whole unit's worth, the rest is dealt in turn, in proportion to what is lacking,
    so that over all rare labels no part comes off short. Units without a label go where most cases
    are missing.

    Args:
        label_counts: Cases of each unit that have each label, shape ``(units, labels)``.
        sizes: Cases of each unit, shape ``(units,)``.
        fractions: Share of each part; they sum to 1.
        seed: Decides among units that are alike.

    Returns:
        The part of each unit, shape ``(units,)``.

    Source:
        Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), whose greatest
        wish rule we keep. There, what is left of a label after rounding goes to the largest part,
        which with thousands of rare labels leaves the small parts short: hence the turns.
    """
    generator = np.random.default_rng(seed)
    units, labels = label_counts.shape
    share = np.asarray(fractions, dtype=np.float64)
    by_unit, by_label = label_counts.tocsr(), label_counts.tocsc()
    wishes = np.outer(label_counts.sum(axis=0), share)
    vacancies = sizes.sum() * share
    turns = np.zeros(len(share))
    parts = np.full(units, -1, dtype=np.int64)
    tie_break = generator.permutation(units)

    remaining = np.diff(by_label.indptr).astype(np.float64)
    remaining[remaining == 0] = np.inf
    while labels and np.isfinite(remaining.min()):
        label = int(remaining.argmin())
        column = slice(by_label.indptr[label], by_label.indptr[label + 1])
        holders, counts = by_label.indices[column], by_label.data[column]
        is_open = parts[holders] < 0
        holders, counts = holders[is_open], counts[is_open]
        for position in np.lexsort((tie_break[holders], -counts)):
            unit, count = holders[position], counts[position]
            row = slice(by_unit.indptr[unit], by_unit.indptr[unit + 1])
            its_labels = by_unit.indices[row]
            has_room = (wishes[its_labels] > 0).all(axis=0) & (vacancies > 0)
            wish = wishes[label]
            wish_with_room = np.where(has_room, wish, 0)
            if wish.max() >= count:
                best = wish_with_room if wish_with_room.max() >= count else wish
                part = int(np.lexsort((-vacancies, -best))[0])
            else:
                lacking = wish_with_room.clip(0) if wish_with_room.max() > 0 else wish.clip(0)
                turns += lacking / lacking.sum()
                part = int(np.where(lacking > 0, turns, -np.inf).argmax())
                turns[part] -= 1
            parts[unit] = part
            vacancies[part] -= sizes[unit]
            wishes[its_labels, part] -= by_unit.data[row]
            remaining[its_labels] -= 1
        remaining[remaining == 0] = np.inf

    unlabelled = np.flatnonzero(parts < 0)
    for position in np.lexsort((tie_break[unlabelled], -sizes[unlabelled])):
        unit = unlabelled[position]
        parts[unit] = int(vacancies.argmax())
        vacancies[parts[unit]] -= sizes[unit]
    return parts
