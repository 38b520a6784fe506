"""Bars on standard error, one for each step of long work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

ReportStep = Callable[[str, int, int], None]
"""Told a step, how much of it is done, and how much there is (0 where nobody knows)."""


@contextmanager
def step_progress(quiet: bool = False) -> Iterator[ReportStep]:
    """Give the function that draws the bars.

    Args:
        quiet: Draw nothing, as all processes but the main one should.
    """
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), disable=quiet
    ) as progress:
        bars: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in bars:
                bars[what] = progress.add_task(what, total=total or None)
            progress.update(bars[what], completed=done, total=total or None)

        yield report
