"""Spreading label-text embeddings that lie close together, so that a head can tell them apart."""

import torch
import torch.nn.functional as F
from torch import Tensor


def whiten(embeddings: Tensor, reference: Tensor, ridge: float) -> Tensor:
    """Return text embeddings relative to those of the trained labels, softly whitened.

    A text encoder puts all names of disorders into one corner of its space: their mean says that a
    disorder is meant, their widest directions which organ. What tells two disorders of one organ
    apart is a small part of either embedding, and a head that starts from it learns slowly.
    The mean of the trained labels is subtracted, and every direction is divided by the root of its
    variance plus ``ridge`` times the mean variance: directions wider than that are narrowed, those
    in which trained labels do not differ are not blown up.

    Args:
        embeddings: What to whiten, ``(labels, text width)``; of any length.
        reference: Of the trained labels, ``(trained labels, text width)``, which alone decide on
            mean and variances: a label has the same whitened embedding in every label set.
        ridge: Above 0; the larger, the more of the encoder's own geometry stays.

    Returns:
        Unit length, shape and type of ``embeddings``; unit embeddings as they are where all trained
        labels are alike.
    """
    texts, trained = (_unit(rows) for rows in (embeddings, reference))
    mean = trained.mean(0)
    centred = trained - mean
    covariance = centred.T @ centred / len(trained)
    num_directions = min(len(trained) - 1, len(mean))
    total = covariance.trace()
    if num_directions < 1 or total <= torch.finfo(torch.float32).eps:
        return texts.to(embeddings)
    variances, directions = torch.linalg.eigh(covariance)
    widths = (variances.clamp_min(0) + ridge * total / num_directions).sqrt()
    whitened = ((texts - mean) @ directions / widths) @ directions.T
    return F.normalize(whitened, dim=-1).to(embeddings)


def _unit(embeddings: Tensor) -> Tensor:
    """Return unit rows in double precision, which not every accelerator has."""
    return F.normalize(embeddings.detach().cpu().double(), dim=-1)
