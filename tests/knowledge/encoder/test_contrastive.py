"""The contrastive loss, and its gradients in chunks."""

import math

import pytest
import torch

from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.pairs import PairKind, build_pairs
from raddiag_hf.knowledge.encoder.contrastive import ContrastiveEncoder, contrastive_loss
from raddiag_hf.knowledge.encoder.pair_batches import PairCollator, PairDataset
from tests.fixtures.concepts import concept_tree
from tests.fixtures.text_encoders import tiny_text_encoder

ONE = torch.tensor(1.0)
UNRELATED = torch.eye(10, dtype=torch.bool)


def batch_of(encoder, size=12):
    pairs, _ = build_pairs(concept_tree(), HeldOut(0, 0))
    synonyms = [pair for pair in pairs if pair.kind == PairKind.SYNONYM][:size]
    return PairCollator(encoder, 64)([PairDataset(synonyms)[index, 0] for index in range(size)])


def unit(*rows):
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


def test_the_loss_is_equation_4_with_the_positive_in_the_denominator():
    anchors, candidates = unit([1.0, 0.0], [0.0, 1.0]), unit([1.0, 0.0], [0.6, 0.8], [0.0, -1.0])
    loss = contrastive_loss(
        anchors,
        candidates,
        torch.tensor([0, 1]),
        torch.tensor([0, 1, 2]),
        UNRELATED,
        temperature=torch.tensor(0.5),
        symmetric=False,
    )
    first = -math.log(math.exp(2) / (math.exp(2) + math.exp(1.2) + math.exp(0)))
    second = -math.log(math.exp(1.6) / (math.exp(0) + math.exp(1.6) + math.exp(-2)))
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_the_symmetric_loss_picks_anchors_too_but_no_hard_negatives():
    anchors, candidates = unit([1.0, 0.0], [0.0, 1.0]), unit([1.0, 0.0], [0.6, 0.8], [0.0, -1.0])
    concepts = torch.tensor([0, 1]), torch.tensor([0, 1, 2]), UNRELATED
    forward = contrastive_loss(anchors, candidates, *concepts, temperature=ONE, symmetric=False)
    backward = contrastive_loss(
        candidates[:2],
        anchors,
        concepts[0],
        concepts[0],
        UNRELATED,
        temperature=ONE,
        symmetric=False,
    )
    both = contrastive_loss(anchors, candidates, *concepts, temperature=ONE, symmetric=True)
    assert both.item() == pytest.approx((forward.item() + backward.item()) / 2, rel=1e-6)


def test_texts_of_the_same_concept_are_no_negatives():
    """Two synonyms of one concept in a batch: only the third text is told apart."""
    anchors = unit([1.0, 0.0], [0.8, 0.6], [0.0, 1.0])
    concepts = torch.tensor([7, 7, 9])
    together = contrastive_loss(
        anchors, anchors, concepts, concepts, UNRELATED, temperature=ONE, symmetric=False
    )
    by_hand = [
        -math.log(math.e / (math.e + 1)),
        -math.log(math.e / (math.e + math.exp(0.6))),
        -math.log(math.e / (math.e + 1 + math.exp(0.6))),
    ]
    assert together.item() == pytest.approx(sum(by_hand) / 3, rel=1e-5)


def test_children_of_one_parent_are_not_set_against_each_other():
    """Their positive, the parent, is the same text: nothing is left to tell apart."""
    children, parents = unit([1.0, 0.0], [0.0, 1.0]), unit([0.6, 0.8], [0.6, 0.8])
    loss = contrastive_loss(
        children,
        parents,
        torch.tensor([1, 2]),
        torch.tensor([0, 0]),
        UNRELATED,
        temperature=ONE,
        symmetric=True,
    )
    assert loss.item() == pytest.approx(0)


@pytest.mark.parametrize("symmetric", [False, True])
def test_what_is_broader_than_the_anchor_is_no_negative(symmetric):
    """Of two parents of one child, neither is wrong; nor is its grandparent."""
    anchors, parents = unit([1.0, 0.0], [0.0, 1.0]), unit([0.8, 0.6], [0.6, 0.8])
    concepts = torch.tensor([1, 2]), torch.tensor([3, 4])
    related = UNRELATED.clone()
    related[1, 4] = related[4, 1] = related[2, 3] = related[3, 2] = True
    loss = contrastive_loss(
        anchors, parents, *concepts, related, temperature=ONE, symmetric=symmetric
    )
    assert loss.item() == pytest.approx(0)
    unknown = contrastive_loss(
        anchors, parents, *concepts, UNRELATED, temperature=ONE, symmetric=symmetric
    )
    assert unknown.item() > 0.1


@pytest.mark.parametrize("chunk_size", [1, 5, 1000])
def test_chunks_give_the_gradients_of_the_whole_batch(chunk_size):
    def gradients(chunk_size):
        model = ContrastiveEncoder(tiny_text_encoder(), chunk_size=chunk_size).train()
        loss = model(**batch_of(model.encoder))["loss"]
        loss.backward()
        found = {name: weight.grad for name, weight in model.named_parameters()}
        return loss, {name: grad for name, grad in found.items() if grad is not None}

    loss, expected = gradients(None)
    chunked_loss, chunked = gradients(chunk_size)
    torch.testing.assert_close(chunked_loss, loss)
    assert chunked.keys() == expected.keys() >= {"log_temperature"}
    for name, gradient in expected.items():
        torch.testing.assert_close(chunked[name], gradient, msg=name, rtol=1e-4, atol=1e-6)


def test_dropout_is_the_same_when_a_chunk_is_computed_again():
    encoder = tiny_text_encoder()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model = ContrastiveEncoder(encoder, chunk_size=4, learn_temperature=False).train()
    batch = batch_of(encoder)
    weight = encoder.model.embeddings.word_embeddings.weight

    def loss_at(shift):
        torch.manual_seed(1)
        with torch.no_grad():
            weight.add_(shift)
        loss = model(**batch)["loss"]
        with torch.no_grad():
            weight.sub_(shift)
        return loss

    torch.manual_seed(1)
    model(**batch)["loss"].backward()
    direction = weight.grad / weight.grad.norm()
    step = 1e-2
    slope = (loss_at(step * direction) - loss_at(-step * direction)) / (2 * step)
    assert slope.item() == pytest.approx(weight.grad.norm().item(), rel=0.05)
