"""Join packed cases into one packed batch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def collate_cases(cases: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return one packed batch of cases that the image processor packed one by one.

    A packed batch has no padding, so joining is concatenation; see ``RadDiagModel.forward`` for the
    shapes. ``labels``, where the cases have them, stay first.

    Args:
        cases: At least one, all with the same keys; each may itself hold several cases.

    Raises:
        ValueError: If there is no case, or the cases have different keys.
    """
    if not cases:
        raise ValueError("there is no case to collate")
    keys = list(cases[0])
    for case in cases:
        if set(case) != set(keys):
            raise ValueError(f"cases have different keys: {sorted(keys)} and {sorted(case)}")
    keys.sort(key=lambda key: key != "labels")
    return {key: torch.cat([case[key] for case in cases]) for key in keys}
