"""The losses, against their definitions."""

import math

import pytest
import torch

from raddiag_hf.model.losses import LOGIT_LIMIT, classification_loss, key_slice_loss
from tests.fixtures.models import packed_batch, tiny_config, tiny_model

BCE = tiny_config()
COUNTS = {"train_label_counts": [0, 1, 20, 300, 1000], "num_train_cases": 1000}
LOSSES = ("bce", "focal", "asymmetric", "class_balanced", "logit_adjusted")


def config(loss, **parameters):
    return tiny_config(classification_loss=loss, **COUNTS | parameters)


def random_labels(cases=6):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(cases, 5, generator=generator) * 3
    return logits, (torch.rand(cases, 5, generator=generator) < 0.3).float()


def test_classification_loss_is_the_mean_binary_cross_entropy():
    logits, labels = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert math.isclose(classification_loss(logits, labels, BCE).item(), expected, rel_tol=1e-6)


def test_huge_logits_give_a_finite_loss():
    loss = classification_loss(torch.tensor([[1e9, -1e9]]), torch.tensor([[0.0, 1.0]]), BCE)
    assert math.isclose(loss.item(), 60, rel_tol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("extreme", [LOGIT_LIMIT - 1, 1e4, 1e30])
def test_loss_and_gradient_stay_finite_at_extreme_logits(loss, extreme):
    sharp = {"asymmetric_gamma_negative": 0.5, "asymmetric_margin": 0.0, "focal_gamma": 0.5}
    for parameters in ({}, sharp):
        logits = torch.tensor([[extreme, -extreme, extreme, -extreme, 0.0]], requires_grad=True)
        labels = torch.tensor([[1.0, 1.0, 0.0, 0.0, 1.0]])
        value = classification_loss(logits, labels, config(loss, **parameters))
        value.backward()
        assert math.isfinite(value.item())
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_logits_lose_nothing_more_than_their_own_rounding(loss):
    logits, labels = random_labels()
    rounded = logits.bfloat16()
    value = classification_loss(rounded, labels, config(loss))
    assert value.dtype == torch.float32
    assert value == classification_loss(rounded.float(), labels, config(loss))
    with torch.autocast("cpu", torch.bfloat16):
        assert classification_loss(rounded, labels.bfloat16(), config(loss)) == value


@pytest.mark.parametrize("loss", LOSSES)
def test_the_model_trains_on_the_loss_of_its_configuration(loss):
    model = tiny_model(classification_loss=loss, **COUNTS)
    batch, labels = packed_batch([[2], [1, 3]]), torch.eye(5)[:2]
    output = model(**batch, labels=labels)
    expected = classification_loss(output.logits, labels, model.config)
    assert output.loss_classification == expected
    if loss != "bce":
        assert expected != classification_loss(output.logits, labels, BCE)
    output.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("loss", LOSSES)
def test_an_unknown_label_counts_nothing(loss):
    """Whatever its logit is; the mean is over what is known."""
    logits, labels = random_labels()
    unknown = labels.clone()
    unknown[2] = unknown[0, 1] = torch.nan
    told = logits.clone().requires_grad_()
    value = classification_loss(told, unknown, config(loss))
    value.backward()
    assert told.grad[unknown.isnan()].eq(0).all()
    assert told.grad[~unknown.isnan()].abs().max() > 0
    other = logits.where(~unknown.isnan(), -logits)
    assert classification_loss(other, unknown, config(loss)) == value
    without = unknown[[0, 1, 3, 4, 5]]
    rest = classification_loss(logits[[0, 1, 3, 4, 5]], without, config(loss))
    torch.testing.assert_close(value.detach(), rest)
    nothing = torch.full_like(labels, torch.nan)
    assert classification_loss(logits, nothing, config(loss)) == 0


def test_attention_on_the_key_slice_costs_least():
    counts, keys = torch.tensor([8]), torch.tensor([5])
    costs = [
        key_slice_loss(torch.eye(8)[[at]] * 10, counts, keys, max_slices=16).item()
        for at in range(8)
    ]
    assert min(costs) == costs[5]
    assert costs[0] > costs[3] > costs[4]


def test_scans_without_a_key_slice_do_not_count():
    scores, counts = torch.randn(3, 8), torch.tensor([8, 8, 8])
    one = key_slice_loss(scores[:1], counts[:1], torch.tensor([2]), max_slices=16)
    for unknown in (-1, 8, 99):
        keys = torch.tensor([2, unknown, unknown])
        torch.testing.assert_close(key_slice_loss(scores, counts, keys, 16), one)
    assert key_slice_loss(scores, counts, torch.tensor([-1, -1, -1]), 16) == 0


def test_padding_does_not_change_the_loss():
    scores = torch.randn(1, 4)
    padded = torch.cat([scores, torch.full((1, 28), torch.finfo(torch.float32).min)], dim=1)
    counts, keys = torch.tensor([4]), torch.tensor([1])
    torch.testing.assert_close(
        key_slice_loss(padded, counts, keys, 32), key_slice_loss(scores, counts, keys, 32)
    )
