"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Told a step in words, how much of it is done, and how much there is (0 where nobody knows)."""


def no_progress(step: str, done: int, total: int) -> None:
    """Tell nobody."""
