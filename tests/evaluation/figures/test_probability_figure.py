"""Intra-negatives are of a region in which the class occurs, inter-negatives of another."""

import numpy as np

from raddiag_hf.evaluation.figures.probability_figure import case_kinds
from tests.fixtures.prediction_tables import make_predictions


def kinds_of(anatomies, positives, unknown=None):
    cases = len(anatomies)
    labels = np.zeros((cases, 2), dtype=bool)
    labels[positives, 1] = True
    if unknown is not None:
        unknown = np.stack([np.zeros(cases, bool), np.isin(np.arange(cases), unknown)], axis=1)
    table = make_predictions(cases, 2, anatomies=anatomies, labels=labels, unknown=unknown)
    return case_kinds(table, 1)


def rows(mask):
    return np.flatnonzero(mask).tolist()


def test_negatives_are_sorted_by_the_region_of_the_positives():
    kinds = kinds_of(("Chest", "Chest", "Spine", "Breast", None), [0])
    assert rows(kinds.positive) == [0]
    assert rows(kinds.intra_negative) == [1]
    assert rows(kinds.inter_negative) == [2, 3]
    assert rows(kinds.unknown) == [4]


def test_every_region_with_a_positive_case_is_the_same_region():
    kinds = kinds_of(("Chest", "Chest", "Spine", "Spine", "Breast"), [0, 2])
    assert rows(kinds.intra_negative) == [1, 3]
    assert rows(kinds.inter_negative) == [4]


def test_without_a_positive_case_of_known_region_negatives_are_neither():
    kinds = kinds_of((None, "Chest", "Spine"), [0])
    assert not kinds.intra_negative.any()
    assert not kinds.inter_negative.any()
    assert rows(kinds.unknown) == [1, 2]


def test_a_case_of_which_nobody_knows_is_of_no_kind():
    kinds = kinds_of(("Chest", "Chest", "Spine", None), [0], unknown=[1, 3])
    assert kinds.positive.tolist() == [True, False, False, False]
    assert kinds.inter_negative.tolist() == [False, False, True, False]
    assert not kinds.intra_negative.any()
    assert not kinds.unknown.any()
