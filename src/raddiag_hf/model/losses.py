"""Losses: the labels, and where in each scan a radiologist looked."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .configuration_raddiag import RadDiagConfig
from .exclusive_labels import exclusive_loss
from .long_tail_losses import (
    asymmetric_loss,
    class_balanced_loss,
    focal_loss,
    known_mean,
    logit_adjusted_loss,
)

LOGIT_LIMIT = 60.0
"""Logits beyond this are clamped in the loss, where they carry no gradient (the reference)."""
SMALLEST_SHARE = 1e-5
"""Slice shares below this are raised to it, so that the divergence stays finite (the reference)."""


def classification_loss(logits: Tensor, labels: Tensor, config: RadDiagConfig) -> Tensor:
    """Return the loss that ``config.classification_loss`` names, a mean over cases and labels.

    Unknown labels count nothing. The loss of exclusive labels is the cross-entropy of their
    softmax, a mean over the cases that have one.

    Args:
        logits: Shape ``(cases, labels)``; computed in at least float32, whatever they come in.
        labels: Multi-hot floats of the same shape, NaN where unknown.
        config: Names the loss and its parameters.

    Source:
        Paper, equation 7, for ``bce``; `long_tail_losses` for the others, which the paper names as
        future work.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    is_known = ~labels.isnan()
    known = None if bool(is_known.all()) else is_known
    labels = labels.to(logits.dtype).nan_to_num(0)
    if config.has_exclusive_labels:
        return exclusive_loss(logits, labels)
    logits = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    match config.classification_loss:
        case "focal":
            return focal_loss(logits, labels, config.focal_gamma, config.focal_alpha, known)
        case "asymmetric":
            return asymmetric_loss(
                logits,
                labels,
                config.asymmetric_gamma_positive,
                config.asymmetric_gamma_negative,
                config.asymmetric_margin,
                known,
            )
        case "class_balanced":
            return class_balanced_loss(
                logits, labels, config.train_label_counts or (), config.class_balanced_beta, known
            )
        case "logit_adjusted":
            return logit_adjusted_loss(
                logits,
                labels,
                config.train_label_counts or (),
                config.train_known_counts or config.num_train_cases or 0,
                config.logit_adjustment_strength,
                known,
            )
    cells = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return known_mean(cells, known)


def key_slice_loss(
    slice_scores: Tensor, slice_counts: Tensor, key_slices: Tensor, max_slices: int
) -> Tensor:
    """Return how far slice attention is from the key slices that radiologists picked.

    The symmetric Kullback-Leibler divergence between the softmax of the scores and a Gaussian
    around the key slice whose standard deviation is ``max_slices / 16`` slices, averaged over the
    scans whose key slice is known; 0 where none is.

    Args:
        slice_scores: Before the softmax, shape ``(scans, max count)``; padding very negative.
        slice_counts: Real slices of each scan, int64, shape ``(scans,)``.
        key_slices: Index of the key slice, int64, shape ``(scans,)``; unknown where negative or
            not below the count.
        max_slices: Slices of a full scan.

    Source:
        qiaoyu-zheng/RP3D-Diag, ``loss_attn``. Scans without a known key slice are left out here;
        there every scan has one.
    """
    known = (key_slices >= 0) & (key_slices < slice_counts)
    positions = torch.arange(slice_scores.shape[1], device=slice_scores.device)
    sigma = max_slices / 16
    distance = (positions - key_slices[:, None]).float() / sigma
    target = torch.exp(-(distance**2) / 2) * (positions < slice_counts[:, None])
    target = target / target.sum(1, keepdim=True).clamp_min(torch.finfo(target.dtype).tiny)
    target = target.clamp_min(SMALLEST_SHARE)
    share = slice_scores.float().softmax(1).clamp_min(SMALLEST_SHARE)
    divergence = ((target - share) * (target.log() - share.log())).sum(1) / 2
    return (divergence * known).sum() / known.sum().clamp_min(1)
