"""CT windows: which Hounsfield units become grey, in all channels or in each its own."""

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

CT_WINDOWS_HU = {
    "brain": (0.0, 80.0),
    "subdural": (-50.0, 150.0),
    "bone": (-500.0, 1300.0),
    "lung": (-1350.0, 150.0),
    "mediastinum": (-125.0, 225.0),
    "abdomen": (-150.0, 250.0),
    "liver": (-45.0, 105.0),
    "spine": (-75.0, 175.0),
}
"""Usual viewing windows as (lower, upper) in Hounsfield units."""

DARKEST_GREY = -50.0
"""No CT in Hounsfield units lacks values below this one, of air and fat; no picture has any."""


def as_window(window: Any) -> Any:
    """Return a window as JSON keeps it, not checked: a name as it is, bounds as a list."""
    if isinstance(window, Iterable) and not isinstance(window, str):
        return list(window)
    return window


def window_bounds(window: str | Sequence[float], option: str) -> tuple[float, float]:
    """Return the lower and upper bound of a window in Hounsfield units.

    Args:
        window: A name of `CT_WINDOWS_HU`, or the bounds.
        option: Where it was given, for messages.

    Raises:
        ValueError: If there is no window of that name, or its bounds are not in order.
    """
    if isinstance(window, str):
        if window not in CT_WINDOWS_HU:
            raise ValueError(
                f"there is no CT window {window!r}; expected one of "
                f"{sorted(CT_WINDOWS_HU)} or [lower_hu, upper_hu]"
            )
        return CT_WINDOWS_HU[window]
    bounds = window if isinstance(window, list | tuple) else []
    is_pair = len(bounds) == 2 and all(isinstance(bound, Real) for bound in bounds)
    if not is_pair or not bounds[0] < bounds[1]:
        raise ValueError(f"{option} is {window}, expected [lower_hu, upper_hu]")
    return float(bounds[0]), float(bounds[1])


def is_in_hounsfield_units(stack: Tensor) -> bool:
    """Tell a CT as a scanner measures it from one that came as a picture or normalised."""
    return bool(stack.min() < DARKEST_GREY)


def window_channels(stack: Tensor, bounds: Sequence[tuple[float, float]]) -> Tensor:
    """Return a CT seen through several windows, one a channel.

    Args:
        stack: Hounsfield units, ``(depth, height, width)``.
        bounds: Lower and upper bound of each window.

    Returns:
        ``(depth, windows, height, width)``: 0 at and below a lower bound, 1 at and above an upper
        one, whatever the range of the scan.
    """
    return torch.stack(
        [(stack.clamp(lower, upper) - lower) / (upper - lower) for lower, upper in bounds], dim=1
    )
