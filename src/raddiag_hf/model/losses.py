"""What RadDiag is trained on: the labels, and where in each scan a radiologist looked."""

import torch
import torch.nn.functional as F
from torch import Tensor

LOGIT_LIMIT = 60.0
"""Logits beyond this are clamped in the loss, where they carry no gradient (the reference)."""
SMALLEST_SHARE = 1e-5
"""Slice shares below this are raised to it, so that the divergence stays finite (the reference)."""


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean binary cross-entropy over cases and labels (paper, equation 7).

    Args:
        logits: Shape ``(cases, labels)``.
        labels: Multi-hot floats of the same shape.
    """
    return F.binary_cross_entropy_with_logits(
        logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT), labels.to(logits.dtype)
    )


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
