"""Exclusive labels: a softmax over the labels of a case, told as the log-odds of each.

A sigmoid of such a logit is the softmax probability, so whatever reads logits of independent labels
(pooling of scans, thresholds, metrics, reports) reads these without knowing.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def softmax_log_odds(scores: Tensor) -> Tensor:
    """Return the log-odds of the softmax of some scores: each minus the ``logsumexp`` of the rest.

    Args:
        scores: Shape ``(cases, labels)``, at least two labels; up to a constant for each case.

    Returns:
        Finite for finite scores, same shape, in at least float32.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # All but the leading label have a probability up to one half, so that one minus it is exact.
    leading = scores.argmax(-1, keepdim=True)
    shares = scores.softmax(-1).scatter(-1, leading, 0)
    rest = scores.logsumexp(-1, keepdim=True) + torch.log1p(-shares)
    rest_of_leading = scores.scatter(-1, leading, -torch.inf).logsumexp(-1, keepdim=True)
    return scores - rest.scatter(-1, leading, rest_of_leading)


def temper_log_odds(log_odds: Tensor, temperature: float) -> Tensor:
    """Return log-odds of the softmax whose scores are divided by a temperature.

    Args:
        log_odds: Of a softmax, shape ``(cases, labels)``.
        temperature: Above 0; at 1 they stay as they are, up to rounding.
    """
    if temperature == 1:
        return log_odds
    return softmax_log_odds(F.logsigmoid(log_odds) / temperature)


def most_probable(logits: Tensor) -> Tensor:
    """Return which label of each case is predicted: one, of equal ones the first.

    Args:
        logits: Log-odds of a softmax, at any temperature; shape ``(..., labels)``.

    Returns:
        Boolean, same shape.
    """
    leading = logits.argmax(-1, keepdim=True)
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, leading, True)


def exclusive_loss(log_odds: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy of a softmax, a mean over the cases that have a label.

    Args:
        log_odds: Of a softmax, shape ``(cases, labels)``, in float32 or float64.
        labels: Multi-hot floats of the same shape. The labels of a case that has several, as mixed
            cases do, share its weight.
    """
    num_labels = labels.sum(1, keepdim=True)
    shares = labels / num_labels.clamp_min(1)
    return -(shares * F.logsigmoid(log_odds)).sum() / (num_labels > 0).sum().clamp_min(1)
