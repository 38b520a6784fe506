"""The losses, against their definitions."""

import math

import torch

from raddiag_hf.model.losses import classification_loss, key_slice_loss


def test_classification_loss_is_the_mean_binary_cross_entropy():
    logits, labels = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 1.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 2
    assert math.isclose(classification_loss(logits, labels).item(), expected, rel_tol=1e-6)


def test_huge_logits_give_a_finite_loss():
    loss = classification_loss(torch.tensor([[1e9, -1e9]]), torch.tensor([[0.0, 1.0]]))
    assert math.isclose(loss.item(), 60, rel_tol=1e-6)


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
