"""Retrieval metrics, on encoders whose embeddings are known."""

import pytest
import torch

from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.pairs import build_pairs
from raddiag_hf.knowledge.encoder.retrieval import compare_retrieval, evaluate_retrieval
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoderError
from tests.fixtures.concepts import KINDS, ORGANS, concept_tree
from tests.fixtures.text_encoders import tiny_text_encoder


class WordEncoder:
    """Embeds a text by which organ, disorder and form it names."""

    def __init__(self, words):
        self.words = words

    def encode(self, texts, batch_size):
        counts = torch.tensor([[float(word in text) for word in self.words] for text in texts])
        return torch.nn.functional.normalize(counts + 1e-4, dim=-1)


class DivergedEncoder(WordEncoder):
    def encode(self, texts, batch_size):
        return super().encode(texts, batch_size) * torch.nan


@pytest.fixture(scope="module")
def pairs():
    return build_pairs(concept_tree(), HeldOut(0, 0))[0]


def means(scores):
    return {name: score.values.mean() for name, score in scores.items()}


def test_an_encoder_that_knows_all_words_finds_all(pairs):
    scores = means(evaluate_retrieval(WordEncoder([*ORGANS, *KINDS, "acute", "chronic"]), pairs))
    assert scores["synonym_recall@1"] == scores["description_recall@1"] == 1
    assert scores["synonym_mrr"] == scores["description_mrr"] == 1


def test_ties_count_against_the_encoder(pairs):
    """Forms are not told from their disorder: three names of equal similarity, ranked third."""
    scores = means(evaluate_retrieval(WordEncoder([*ORGANS, *KINDS]), pairs))
    assert scores["synonym_recall@1"] == 0
    assert scores["synonym_recall@5"] == 1
    assert scores["synonym_mrr"] == pytest.approx(1 / 3)
    knows_nothing = means(evaluate_retrieval(WordEncoder(["zebra"]), pairs))
    assert knows_nothing["synonym_recall@5"] == knows_nothing["child_nearer_to_parent"] == 0


def test_an_encoder_that_diverged_is_refused_and_not_scored(pairs):
    with pytest.raises(TextEncoderError, match="not finite"):
        evaluate_retrieval(DivergedEncoder(["zebra"]), pairs)


def test_a_child_is_set_against_its_cousins(pairs):
    """Acute cyst and acute rupture of the liver: cousins, told from the parent by the disorder."""
    by_disorder = means(evaluate_retrieval(WordEncoder([*ORGANS, *KINDS]), pairs))
    by_form = means(evaluate_retrieval(WordEncoder([*ORGANS, "acute", "chronic"]), pairs))
    assert by_disorder["child_nearer_to_parent"] > by_form["child_nearer_to_parent"]


def test_equal_seeds_draw_the_same_queries_for_both_encoders(pairs):
    knows, guesses = WordEncoder([*ORGANS, *KINDS, "acute", "chronic"]), tiny_text_encoder()
    scores = [evaluate_retrieval(e, pairs, max_queries=10, seed=1) for e in (guesses, knows)]
    for name in scores[0]:
        assert len(scores[0][name].values) == 10
        assert scores[0][name].families == scores[1][name].families
    compared = compare_retrieval(*scores, resamples=200)
    assert compared["synonym_recall@1"].difference.value > 0
