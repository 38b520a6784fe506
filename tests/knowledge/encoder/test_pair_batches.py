"""Batches of one kind, the same ones in every run."""

from itertools import pairwise

import pytest

from raddiag_hf.knowledge.corpus.pairs import HardNegative, KnowledgePair, PairKind
from raddiag_hf.knowledge.encoder.pair_batches import (
    NEIGHBOURS,
    PairCollator,
    PairDataset,
    PairSampler,
)
from raddiag_hf.vocabulary import Split
from tests.fixtures.text_encoders import tiny_text_encoder

COUNTS = {PairKind.SYNONYM: 23, PairKind.HIERARCHY: 90, PairKind.DESCRIPTION: 5}


def pair(anchor, positive="b", negatives=(), kind=PairKind.SYNONYM, family="f"):
    return KnowledgePair(
        kind, anchor, positive, anchor, positive, negatives, family, "s", Split.TRAIN
    )


PAIRS = [
    pair(f"{kind}{number}", kind=kind, family=f"family {number // 10}")
    for kind, count in COUNTS.items()
    for number in range(count)
]


def indices(sampler):
    return [index for index, _ in sampler]


def test_every_batch_is_of_one_kind():
    order = indices(PairSampler(PAIRS, 4))
    assert len(order) == len(PairSampler(PAIRS, 4))
    batches = [
        {PAIRS[index].kind for index in order[at : at + 4]} for at in range(0, len(order), 4)
    ]
    assert all(len(kinds) == 1 for kinds in batches)


def test_a_large_kind_is_held_to_the_middle_one_and_a_small_one_repeated_three_times():
    order = indices(PairSampler(PAIRS, 4))
    counts = {kind: sum(PAIRS[index].kind == kind for index in order) for kind in PairKind}
    assert counts == {PairKind.SYNONYM: 20, PairKind.HIERARCHY: 20, PairKind.DESCRIPTION: 12}
    many = [index for index in order if PAIRS[index].kind != PairKind.DESCRIPTION]
    assert len(set(many)) == len(many)


def test_neighbours_stand_together_but_not_alone():
    pairs = [pair(str(number), family=f"family {number // 40}") for number in range(400)]
    order = indices(PairSampler(pairs, 32))
    for at in range(0, len(order), 32):
        families = [pairs[index].family for index in order[at : at + 32]]
        changes = sum(one != other for one, other in pairwise(families))
        assert len(set(families)) > 1
        assert changes <= 32 / NEIGHBOURS


def test_epochs_differ_and_seeds_repeat():
    sampler, again = PairSampler(PAIRS, 4, seed=1), PairSampler(PAIRS, 4, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(again) == first != list(sampler)


def test_too_few_pairs_for_a_batch_are_refused():
    with pytest.raises(ValueError, match="118 training pairs hold no batch of 91"):
        PairSampler(PAIRS, 91)


def test_a_batch_holds_anchors_then_positives_then_the_hard_negatives_there_are():
    encoder = tiny_text_encoder()
    negatives = (HardNegative("e", "a"), HardNegative("f", "a"))
    dataset = PairDataset([pair("a", "b"), pair("c", "dd", negatives)])
    batch = PairCollator(encoder, 64)([dataset[0, 7], dataset[1, 7]])
    texts = [
        encoder.tokenizer.decode(row, skip_special_tokens=True).replace(" ", "")
        for row in batch["input_ids"]
    ]
    assert texts == ["a", "c", "b", "dd", "f"]
    assert batch["anchor_concepts"].tolist() == [0, 1]
    assert batch["candidate_concepts"].tolist() == [2, 3, 0]


def test_a_batch_knows_which_concepts_are_broader():
    """Through concepts that are in no pair of the batch, too."""
    chain = [
        pair("a", "b", kind=PairKind.HIERARCHY),
        pair("b", "c", kind=PairKind.HIERARCHY),
        pair("c", "d", kind=PairKind.HIERARCHY),
        pair("x", "y", kind=PairKind.HIERARCHY),
    ]
    dataset = PairDataset(chain)
    batch = PairCollator(tiny_text_encoder(), 64)([dataset[0, 0], dataset[2, 0], dataset[3, 0]])
    names = ["a", "c", "x", "b", "d", "y"]
    related = {(names[i], names[j]) for i, j in batch["is_related"].nonzero().tolist() if i != j}
    chains = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d"), ("x", "y")]
    assert related == {*chains, *((j, i) for i, j in chains)}
