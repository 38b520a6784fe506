"""Split cases by patient, so that common labels are in every split and no patient is in two."""

import logging
from collections.abc import Collection, Hashable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from raddiag_hf.vocabulary import Split

logger = logging.getLogger(__name__)

SPLIT_FRACTIONS = {Split.TRAIN: 0.7, Split.VALIDATION: 0.1, Split.TEST: 0.2}
"""7:1:2, as in the paper, section 4.3.1."""

FEW_SHOT_FRACTIONS = (0.01, 0.1, 0.3)


def split_by_patient(
    patient_ids: Sequence[str],
    labels: Sequence[Collection[Hashable]],
    fractions: Mapping[Split, float] = SPLIT_FRACTIONS,
    published: Sequence[Split | None] | None = None,
    seed: int = 0,
) -> list[Split]:
    """Return the split of each case; all cases of one patient share it.

    Each label's cases are spread over the splits as ``fractions`` say. Labels of few patients
    cannot be in every split; those of 30 cases or more are, unless most of their cases belong to
    very few patients.

    Args:
        patient_ids: Patient of each case.
        labels: Labels of each case, names or ids; all columns of a case together where there are
            several. Anything else that should be spread evenly may be among them.
        fractions: Share of the cases that each split gets.
        published: The split of each case that a publisher fixed, None elsewhere. A split that
            occurs here is complete: no further patient joins it, and the other splits share the
            remaining patients in proportion. Only a published patient's other cases follow it.
        seed: Equal inputs and seeds give equal splits.

    Raises:
        ValueError: If the arguments differ in length, the fractions do not sum to 1, a patient has
            cases in two published splits, or every split is published and cases remain.
    """
    cases = len(patient_ids)
    published = [None] * cases if published is None else published
    for name, values in (("labels", labels), ("published", published)):
        if len(values) != cases:
            raise ValueError(f"{name} has {len(values)} entries for {cases} cases")
    if min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-9:
        raise ValueError(f"fractions are {dict(fractions)}, expected positive ones that sum to 1")
    fixed = _published_patients(patient_ids, published)

    splits: list[Split | None] = [fixed.get(patient) for patient in patient_ids]
    followers = sum(now != given for now, given in zip(splits, published, strict=True))
    if followers:
        logger.warning("%d further cases of published patients join their split", followers)
    open_cases = [case for case, split in enumerate(splits) if split is None]
    open_splits = [split for split in fractions if split not in published]
    if open_cases and not open_splits:
        raise ValueError(f"every split is published, but {len(open_cases)} cases are in none")
    if open_cases:
        total = sum(fractions[split] for split in open_splits)
        parts = _stratify_patients(
            [patient_ids[case] for case in open_cases],
            [labels[case] for case in open_cases],
            [fractions[split] / total for split in open_splits],
            seed,
        )
        for case, part in zip(open_cases, parts, strict=True):
            splits[case] = open_splits[part]
    return [split for split in splits if split is not None]


def few_shot_subsets(
    patient_ids: Sequence[str],
    labels: Sequence[Collection[Hashable]],
    fractions: Sequence[float] = FEW_SHOT_FRACTIONS,
    seed: int = 0,
) -> dict[float, NDArray[np.int64]]:
    """Return nested subsets of the training cases, drawn by patient and stratified by label.

    Args:
        patient_ids: Patient of each training case.
        labels: Labels of each training case, names or ids.
        fractions: Shares of the cases, each in (0, 1].
        seed: Equal inputs and seeds give equal subsets.

    Returns:
        Fraction -> indices of its cases, ascending; each smaller subset lies within the larger.

    Raises:
        ValueError: If a fraction is not in (0, 1], or so small that a subset gets no patient.

    Source:
        Paper, section 4.3.2 (1, 10 and 30 %). The reference takes the first cases of a file.
    """
    ascending = sorted(set(fractions))
    if not ascending or not 0 < ascending[0] <= ascending[-1] <= 1:
        raise ValueError(f"fractions are {list(fractions)}, expected shares in (0, 1]")
    bounds = [Fraction(0), *(Fraction(str(fraction)) for fraction in ascending), Fraction(1)]
    shares = [float(upper - lower) for lower, upper in pairwise(bounds) if upper > lower]
    parts = _stratify_patients(patient_ids, labels, shares, seed)
    subsets = {fraction: np.flatnonzero(parts <= index) for index, fraction in enumerate(ascending)}
    for fraction, subset in subsets.items():
        if len(subset) == 0:
            raise ValueError(
                f"{fraction:.0%} of {len(patient_ids)} cases of {len(set(patient_ids))} patients "
                "is no patient"
            )
    return subsets


def _published_patients(
    patient_ids: Sequence[str], published: Sequence[Split | None]
) -> dict[str, Split]:
    fixed: dict[str, Split] = {}
    for case, (patient, split) in enumerate(zip(patient_ids, published, strict=True)):
        if split is not None and fixed.setdefault(patient, split) != split:
            raise ValueError(
                f"the patient of case {case} is published in {fixed[patient]} and in {split}"
            )
    return fixed


def _stratify_patients(
    patient_ids: Sequence[str],
    labels: Sequence[Collection[Hashable]],
    fractions: Sequence[float],
    seed: int,
) -> NDArray[np.int64]:
    """Return the part of each case."""
    patients = {patient: row for row, patient in enumerate(dict.fromkeys(patient_ids))}
    rows = np.array([patients[patient] for patient in patient_ids], dtype=np.int64)
    columns: dict[Hashable, int] = {}
    entries = [
        (row, columns.setdefault(label, len(columns)))
        for row, names in zip(rows, labels, strict=True)
        for label in dict.fromkeys(names)  # a set's order is another in every process
    ]
    where = np.array(entries, dtype=np.int64).reshape(-1, 2)
    label_counts = csr_array(
        (np.ones(len(where)), (where[:, 0], where[:, 1])), shape=(len(patients), len(columns))
    )
    parts = stratify(label_counts, np.bincount(rows, minlength=len(patients)), fractions, seed)
    return parts[rows]


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
