"""Pairs of three kinds: provenance, negatives of the same format, and nothing held out leaks."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf.knowledge.corpus import concept_groups
from raddiag_hf.knowledge.corpus.concept import Concept, KnowledgeSourceError, fold
from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.pairs import PairKind, build_pairs
from raddiag_hf.vocabulary import Split
from tests.fixtures.concepts import concept_tree


def of_kind(pairs, kind):
    return [pair for pair in pairs if pair.kind == kind]


@pytest.fixture(scope="module")
def pairs():
    return build_pairs(concept_tree(), HeldOut(0, 0))[0]


def test_names_parents_and_descriptions_become_pairs_with_their_source(pairs):
    found = {
        (pair.kind.value, pair.anchor, pair.positive, pair.source)
        for pair in pairs
        if "lung-cyst" in (pair.anchor_concept.partition(":")[2], pair.source.partition(":")[2])
    }
    assert found == {
        ("synonym", "lung cyst", "cyst of the lung", "test:lung-cyst"),
        ("hierarchy", "cyst of the lung", "diseases of the lung", "test:lung-cyst"),
        (
            "description",
            "cyst of the lung",
            "What a surgeon calls cyst when the lung has it.",
            "test:lung-cyst",
        ),
    }


def test_negatives_of_a_synonym_are_names_of_siblings(pairs):
    pair = next(pair for pair in of_kind(pairs, PairKind.SYNONYM) if pair.anchor == "lung cyst")
    assert {negative.text for negative in pair.hard_negatives} == {
        "abscess of the lung",
        "fibrosis of the lung",
        "rupture of the lung",
    }


def test_negatives_of_a_description_are_descriptions(pairs):
    for pair in of_kind(pairs, PairKind.DESCRIPTION):
        assert len(pair.hard_negatives) == 3
        assert all(negative.text.startswith("What a") for negative in pair.hard_negatives)


def test_negatives_of_a_child_and_its_parent_are_cousins(pairs):
    pair = next(
        pair
        for pair in of_kind(pairs, PairKind.HIERARCHY)
        if pair.anchor == "acute cyst of the lung"
    )
    texts = {negative.text for negative in pair.hard_negatives}
    assert len(texts) == 4
    assert all(text.split()[1] in ("abscess", "fibrosis", "rupture") for text in texts)
    assert all(text.endswith("of the lung") for text in texts)


def test_nothing_broader_or_narrower_is_a_hard_negative():
    """Through another parent, a sibling of the parent is the grandparent."""
    concepts = [
        Concept("top", (), (), (), "test", "top"),
        Concept("p", (), ("top",), (), "test", "p"),
        Concept("u", (), ("top",), (), "test", "u"),
        Concept("y", (), ("u",), (), "test", "y"),
        Concept("p2", (), ("y",), (), "test", "p2"),
        Concept("x", (), ("p", "p2"), (), "test", "x"),
    ]
    pairs, _ = build_pairs(concepts, HeldOut(0, 0))
    negatives = {n.text for pair in pairs if pair.anchor == "x" for n in pair.hard_negatives}
    assert negatives.isdisjoint({"y", "u", "top", "p2", "p"})
    negatives = {n.text for pair in pairs if pair.anchor == "y" for n in pair.hard_negatives}
    assert "x" not in negatives


def test_a_description_that_is_a_name_is_none():
    concepts = [
        Concept("Gout", ("Podagra",), (), (), "test", "1"),
        Concept("Arthritis", (), (), ("Podagra.",), "test", "2"),
    ]
    pairs, dropped = build_pairs(concepts, HeldOut(0, 0))
    assert {pair.kind for pair in pairs} == {PairKind.SYNONYM}
    assert dropped["ambiguous descriptions"] == 1


def test_a_family_is_whole_across_sources():
    """Children in one source stand with the concept that another source holds out."""
    ours = [Concept("Gout", (), (), (), "a", "1")]
    theirs = [
        Concept("gout", (), ("9",), (), "b", "1"),
        Concept("tophus", (), ("1",), (), "b", "2"),
        Concept("arthritis", (), (), (), "b", "9"),
    ]
    for seed in range(20):
        pairs, _ = build_pairs(ours + theirs, HeldOut(0, 0.5, seed=seed))
        assert len({pair.family for pair in pairs}) == 1
        assert {(pair.anchor, pair.positive) for pair in pairs} == {
            ("tophus", "Gout"),
            ("Gout", "arthritis"),
        }


def test_the_same_concepts_give_the_same_pairs():
    held_out = HeldOut(0.1, 0.2, seed=3)
    assert build_pairs(concept_tree(), held_out) == build_pairs(concept_tree(), held_out)
    other = build_pairs(concept_tree(), replace(held_out, seed=4))
    assert build_pairs(concept_tree(), held_out) != other


def test_spellings_of_one_name_are_one_name():
    concept = Concept("Gout", ("GOUT", "gout ", "Podagra", "podagra"), (), (), "test", "1")
    pairs, _ = build_pairs([concept], HeldOut(0, 0))
    assert [(pair.anchor, pair.positive) for pair in pairs] == [("Podagra", "Gout")]


def test_sources_that_share_a_name_speak_of_one_concept():
    ours = Concept("Pneumothorax", (), (), (), "ICD-10-CM", "J93")
    theirs = Concept("PNEUMOTHORAX", ("collapsed lung",), (), ("Pleural gas.",), "articles", "p")
    pairs, _ = build_pairs([ours, theirs], HeldOut(0, 0))
    assert [(pair.kind, pair.anchor, pair.positive, pair.source) for pair in pairs] == [
        (PairKind.SYNONYM, "collapsed lung", "Pneumothorax", "articles:p"),
        (PairKind.DESCRIPTION, "Pneumothorax", "Pleural gas.", "articles:p"),
    ]
    assert {pair.positive_concept for pair in pairs} == {"ICD-10-CM:J93"}


def test_a_synonym_of_two_concepts_names_neither():
    concepts = [
        Concept("Rhinitis", ("cold",), (), ("Same words.",), "test", "1"),
        Concept("Hypothermia", ("Cold",), (), ("same words",), "test", "2"),
    ]
    pairs, dropped = build_pairs(concepts, HeldOut(0, 0))
    assert pairs == []
    assert dropped == {"ambiguous synonyms": 2, "ambiguous descriptions": 2}


def test_an_identifier_twice_is_refused():
    concepts = [Concept("a", (), (), (), "test", "1"), Concept("b", (), (), (), "test", "1")]
    with pytest.raises(KnowledgeSourceError, match="test:1 occurs twice"):
        build_pairs(concepts)


def test_cycles_and_unknown_parents_do_no_harm():
    concepts = [
        Concept("a", (), ("2", "absent"), (), "test", "1"),
        Concept("b", (), ("1",), (), "test", "2"),
    ]
    pairs, dropped = build_pairs(concepts, HeldOut(0, 0))
    assert {(pair.anchor, pair.positive) for pair in pairs} == {("a", "b"), ("b", "a")}
    assert dropped["parents that no source has"] == 1


def test_families_are_held_out_as_a_whole(monkeypatch):
    """A disorder is not learned through its sibling or its forms."""
    monkeypatch.setattr(concept_groups, "MAX_FAMILY", 3)
    pairs, dropped = build_pairs(concept_tree(), HeldOut(0.2, 0.3, seed=1))
    splits = {}
    for pair in pairs:
        disorder = "-".join(pair.anchor_concept.partition(":")[2].split("-")[:2])
        splits.setdefault(disorder, set()).add(pair.split)
        assert pair.family == f"test:{disorder}"
    assert {len(found) for found in splits.values()} == {1}
    assert {split for found in splits.values() for split in found} == set(Split)
    assert dropped["hierarchy pairs across splits"] > 0


names = st.sampled_from(["Gout", "gout", "Podagra", "GOÜT", "cyst", "Cyst.", "rupture", "tear"])


@given(
    st.lists(
        st.tuples(names, st.lists(names, max_size=3), st.lists(st.integers(0, 7), max_size=2)),
        max_size=8,
    )
)
@settings(max_examples=200)
def test_no_text_of_a_held_out_pair_is_in_training_in_any_spelling(drawn):
    concepts = [
        Concept(
            term,
            tuple(synonyms),
            tuple(str(parent) for parent in parents),
            (f"About {term}: {number % 2}", *synonyms[:1]),
            f"source {number % 2}",
            str(number),
        )
        for number, (term, synonyms, parents) in enumerate(drawn)
    ]
    pairs, _ = build_pairs(concepts, HeldOut(0.2, 0.4))
    texts = {split: set() for split in Split}
    for pair in pairs:
        assert fold(pair.anchor) != fold(pair.positive)
        texts[pair.split] |= {fold(pair.anchor), fold(pair.positive)}
        texts[pair.split] |= {fold(negative.text) for negative in pair.hard_negatives}
        kin = {pair.anchor_concept, pair.positive_concept}
        assert kin.isdisjoint(negative.concept for negative in pair.hard_negatives)
    assert texts[Split.TRAIN].isdisjoint(texts[Split.TEST] | texts[Split.VALIDATION])
    assert texts[Split.TEST].isdisjoint(texts[Split.VALIDATION])
