"""Packing: packed tokens to padded ones and back, the only place where padding is made."""

import torch
from torch import Tensor


def check_counts(name: str, counts: Tensor, total: int, what: str) -> None:
    """Refuse counts that do not add up, before they index anything.

    Args:
        name: What the caller calls the counts.
        counts: Rows of each group, int64, shape ``(groups,)``.
        total: Rows that there are.
        what: What a row is, in words.

    Raises:
        ValueError: If there is no group, a group without a row, or another total.
    """
    if counts.ndim != 1 or len(counts) == 0:
        raise ValueError(f"{name} has shape {tuple(counts.shape)}, expected one count per group")
    if int(counts.min()) < 1 or int(counts.sum()) != total:
        raise ValueError(
            f"{name} sums to {int(counts.sum())} (smallest {int(counts.min())}), but there are "
            f"{total} {what}; every count must be at least 1"
        )


def group_index(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the rows of each group lie in a packed tensor.

    Args:
        counts: Rows of each group, int64, shape ``(groups,)``, each at least 1.

    Returns:
        ``index`` (groups, max count) int64, rows of the packed tensor; past a group's end it points
        at the group's own last row, so that gathering never leaves the tensor. ``is_real`` of the
        same shape, bool, True where the group has such a row.
    """
    positions = torch.arange(int(counts.max()), device=counts.device)
    is_real = positions < counts[:, None]
    starts = counts.cumsum(0) - counts
    index = starts[:, None] + torch.minimum(positions, counts[:, None] - 1)
    return index, is_real


def pad_groups(tokens: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Lay packed tokens out as one row per group.

    Args:
        tokens: All groups' tokens in order, shape ``(sum of counts, hidden)``.
        counts: Tokens of each group, int64, shape ``(groups,)``.

    Returns:
        Padded tokens ``(groups, max count, hidden)``, zero where there is no token, and a bool mask
        ``(groups, max count)``, True = real.
    """
    index, is_real = group_index(counts)
    return tokens[index] * is_real[..., None].to(tokens.dtype), is_real
