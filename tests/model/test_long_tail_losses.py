"""The losses for long-tailed labels, against values worked by hand and their limits."""

import math

import pytest
import torch
import torch.nn.functional as F

from raddiag_hf.model.long_tail_losses import (
    asymmetric_loss,
    class_balanced_loss,
    focal_loss,
    logit_adjusted_loss,
)

HALF = math.log(2)
QUARTER = -math.log(3)
"""The logit of a probability of a quarter."""


@pytest.fixture
def some():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(8, 4, generator=generator, dtype=torch.float64) * 4
    return logits, (torch.rand(8, 4, generator=generator) < 0.4).double()


def of(logit, label):
    return torch.tensor([[logit]], dtype=torch.float64), torch.tensor([[label]]).double()


def test_focal_loss_by_hand():
    assert focal_loss(*of(QUARTER, 1.0), 2, None).item() == pytest.approx(0.75**2 * 2 * HALF)
    assert focal_loss(*of(QUARTER, 1.0), 2, 0.25).item() == pytest.approx(
        0.25 * 0.75**2 * math.log(4)
    )
    assert focal_loss(*of(QUARTER, 0.0), 1, 0.25).item() == pytest.approx(
        0.75 * 0.25 * math.log(4 / 3)
    )


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.5, None), (3.0, 0.9)])
def test_focal_loss_is_that_of_monai(some, gamma, alpha):
    from monai.losses import FocalLoss  # takes seconds; not when tests are collected

    theirs = FocalLoss(gamma=gamma, alpha=alpha, reduction="mean")(*some)
    assert focal_loss(*some, gamma, alpha).item() == pytest.approx(theirs.item())


def test_asymmetric_loss_by_hand():
    assert asymmetric_loss(*of(QUARTER, 1.0), 1, 4, 0.05).item() == pytest.approx(
        0.75 * math.log(4)
    )
    assert asymmetric_loss(*of(QUARTER, 0.0), 1, 4, 0.05).item() == pytest.approx(
        -(0.2**4) * math.log(0.8)
    )
    assert asymmetric_loss(*of(-5.0, 0.0), 0, 4, 0.05).item() == 0  # a probability below 0.05


def test_without_focus_all_are_the_cross_entropy(some):
    plain = F.binary_cross_entropy_with_logits(*some).item()
    counts = [1, 5, 20, 90]
    assert focal_loss(*some, 0, None).item() == pytest.approx(plain)
    assert asymmetric_loss(*some, 0, 0, 0).item() == pytest.approx(plain)
    assert class_balanced_loss(*some, counts, 0).item() == pytest.approx(plain)
    assert class_balanced_loss(*some, [7, 7, 7, 7], 0.999).item() == pytest.approx(plain)
    assert logit_adjusted_loss(*some, counts, 100, 0).item() == pytest.approx(plain)
    assert logit_adjusted_loss(*some, [50] * 4, 100, 1).item() == pytest.approx(plain)


def test_asymmetric_loss_without_margin_is_focal_loss_of_equal_gammas(some):
    assert asymmetric_loss(*some, 2, 2, 0).item() == pytest.approx(
        focal_loss(*some, 2, None).item()
    )


def test_class_balanced_loss_by_hand():
    # Effective numbers of 1 and 2 cases at beta 0.5: 1 and 1.5; weights 1 and 2/3, scaled to a
    # mean of 1: 1.2 and 0.8.
    zeros = torch.zeros(4, 2, dtype=torch.float64)
    for labels, weight in (([1.0, 0], 1.2), ([0.0, 1], 0.8), ([1.0, 1], 1.0), ([0.0, 0], 1.0)):
        case = torch.tensor([labels], dtype=torch.float64)
        loss = class_balanced_loss(zeros[:1], case, [1, 2], 0.5)
        assert loss.item() == pytest.approx(weight * HALF)


def test_class_balanced_weights_near_one_go_by_one_over_the_count():
    rare, frequent = (torch.eye(2, dtype=torch.float64)[[row]] for row in (0, 1))
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    ratio = class_balanced_loss(zeros, rare, [3, 300], 1 - 1e-9) / class_balanced_loss(
        zeros, frequent, [3, 300], 1 - 1e-9
    )
    assert ratio.item() == pytest.approx(100, rel=1e-4)


def test_a_label_without_a_training_case_has_a_finite_weight(some):
    assert class_balanced_loss(*some, [0, 1, 5, 9], 0.99) == class_balanced_loss(
        *some, [1, 1, 5, 9], 0.99
    )
    assert torch.isfinite(logit_adjusted_loss(*some, [0, 100, 5, 9], 100, 1))


def test_logit_adjusted_loss_by_hand():
    # 24 of 99 cases: log-odds log(24.5 / 75.5).
    prior = math.log(24.5 / 75.5)
    loss = logit_adjusted_loss(*of(1.5, 1.0), [24], 99, 2).item()
    assert loss == pytest.approx(math.log(1 + math.exp(-(1.5 + 2 * prior))))


def test_logit_adjustment_learns_what_speaks_for_a_label_whatever_its_frequency():
    """Of labels that one finding raises by the same odds, the logits become the same."""
    generator = torch.Generator().manual_seed(0)
    prevalence, odds_ratio, cases = torch.tensor([0.3, 0.03]), 8.0, 400_000
    labels = (torch.rand(cases, 2, generator=generator) < prevalence).double()
    finding = (torch.rand(cases, 2, generator=generator) < torch.where(labels > 0, 0.8, 0.1)).long()
    logits = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)  # (finding, label)
    counts = [int(count) for count in labels.sum(0)]
    optimizer = torch.optim.LBFGS([logits], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        by_case = torch.stack([logits[finding[:, label], label] for label in (0, 1)], 1)
        loss = logit_adjusted_loss(by_case, labels, counts, cases, 1)
        loss.backward()
        return loss

    optimizer.step(closure)
    likelihood_ratio = torch.tensor([[math.log(0.2 / 0.9)] * 2, [math.log(odds_ratio)] * 2])
    torch.testing.assert_close(logits.detach(), likelihood_ratio.double(), atol=0.06, rtol=0)
