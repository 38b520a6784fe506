"""Classification losses for long-tailed labels, all means over cases and labels.

A mean over thousands of labels, of which a case has a few, is dominated by easy negatives and by
frequent labels. Focal and asymmetric loss turn down what is easy, the class-balanced loss turns up
cases with rare labels, logit adjustment takes the frequency out of the logits. All read logits of
shape ``(cases, labels)`` in float32 or float64 and multi-hot floats of that shape. ``known``
says of which labels of which case it is known whether they are there; None: of all.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def known_mean(cells: Tensor, known: Tensor | None) -> Tensor:
    """Return the mean of what is known, ``(cases, labels)``; 0 where nothing is."""
    if known is None:
        return cells.mean()
    return cells.where(known, 0).sum() / known.sum().clamp_min(1)


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    gamma: float,
    alpha: float | None,
    known: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of each label times ``(1 - p) ** gamma``, p that of the truth.

    Args:
        logits: See above.
        labels: See above.
        gamma: How much the easy ones are turned down; 0 is the plain cross-entropy.
        alpha: Weight of the positives, ``1 - alpha`` that of the negatives; None: 1 for both.
        known: See above.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, equation 5; there gamma is 2 and
        alpha 0.25.
    """
    positive = -torch.exp(gamma * F.logsigmoid(-logits)) * F.logsigmoid(logits)
    negative = -torch.exp(gamma * F.logsigmoid(logits)) * F.logsigmoid(-logits)
    if alpha is not None:
        positive, negative = alpha * positive, (1 - alpha) * negative
    return known_mean(labels * positive + (1 - labels) * negative, known)


def asymmetric_loss(
    logits: Tensor,
    labels: Tensor,
    gamma_positive: float,
    gamma_negative: float,
    margin: float,
    known: Tensor | None = None,
) -> Tensor:
    """Return a focal loss that turns down easy negatives more than easy positives.

    Args:
        logits: See above.
        labels: See above.
        gamma_positive: As in `focal_loss`, for labels that are there.
        gamma_negative: The same for those that are not.
        margin: Taken off the probability of negatives; those below it count nothing.
        known: See above.

    Source:
        Ridnik et al. 2021, Asymmetric Loss for Multi-Label Classification, equation 7; there
        gamma_positive is 0, gamma_negative 4 and margin 0.05. There it is a sum.
    """
    positive = -torch.exp(gamma_positive * F.logsigmoid(-logits)) * F.logsigmoid(logits)
    # A power below 1 has no finite slope at 0.
    shifted = (logits.sigmoid() - margin).clamp_min(torch.finfo(logits.dtype).tiny)
    absent = (
        torch.log((torch.sigmoid(-logits) + margin).clamp_max(1))
        if margin
        else F.logsigmoid(-logits)
    )
    negative = -(shifted**gamma_negative) * absent
    return known_mean(labels * positive + (1 - labels) * negative, known)


def class_balanced_loss(
    logits: Tensor,
    labels: Tensor,
    train_label_counts: Sequence[int],
    beta: float,
    known: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of each case times a weight that grows with its labels' rarity.

    A label's weight is one over its effective number of cases, ``(1 - beta ** n) / (1 - beta)``,
    scaled to a mean of 1 over labels. A case weighs the mean of its labels; without a label, 1.

    Args:
        logits: See above.
        labels: See above.
        train_label_counts: Training cases of each label; 0 counts as 1.
        beta: 0 weighs all alike, near 1 by one over the count.
        known: See above.

    Source:
        Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples, the sigmoid form.
        There a case has one label; the mean over several is ours.
    """
    counts = torch.tensor(train_label_counts, dtype=torch.float64).clamp_min(1)
    log_beta = torch.tensor(beta, dtype=torch.float64).log()
    weights = 1 / -torch.expm1(counts * log_beta)
    weights = (weights / weights.mean()).to(logits.device, logits.dtype)
    num_labels = labels.sum(1)
    # A matrix product would round the weights under autocast.
    case_weights = ((labels * weights).sum(1) / num_labels.clamp_min(1)).where(num_labels > 0, 1)
    cells = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return known_mean(case_weights[:, None] * cells, known)


def logit_adjusted_loss(
    logits: Tensor,
    labels: Tensor,
    train_label_counts: Sequence[int],
    num_train_cases: int | Sequence[int],
    strength: float,
    known: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of the logits plus the log-odds of each label's frequency.

    Frequency is explained by what is added, so the logits themselves learn what speaks for a label,
    however rare: with strength 1 their sigmoid is the probability if every label were as frequent
    as not. Ranking and thresholds chosen on validation data need nothing else; a probability at the
    training frequencies is the sigmoid of logits and log-odds.

    Args:
        logits: See above.
        labels: See above.
        train_label_counts: Training cases of each label.
        num_train_cases: Training cases in all, or those of which each label is known.
        strength: Times the log-odds; 0 is the plain cross-entropy.
        known: See above.

    Source:
        Menon et al. 2021, Long-tail Learning via Logit Adjustment, equation 10, which adds the log
        of class frequencies to the logits of a softmax. With one sigmoid per label, the log-odds of
        each frequency are its counterpart. Half a case is added to either side, so that they are
        finite.
    """
    counts = torch.tensor(train_label_counts, dtype=torch.float64)
    negatives = torch.tensor(num_train_cases, dtype=torch.float64) - counts
    log_odds = torch.log((counts + 0.5) / (negatives + 0.5))
    adjusted = logits + strength * log_odds.to(logits.device, logits.dtype)
    cells = F.binary_cross_entropy_with_logits(adjusted, labels, reduction="none")
    return known_mean(cells, known)
