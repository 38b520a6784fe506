"""Bars on standard error, one for each step of long work."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich import progress as rich_progress
from rich.console import Console

from raddiag_hf.core.progress import Progress


@contextmanager
def step_progress(quiet: bool = False, transient: bool = False) -> Iterator[Progress]:
    """Give the function that draws the bars.

    Args:
        quiet: Draw nothing, as all processes but the main one should.
        transient: Leave nothing behind: for work of seconds, and for what may fail in one line.
    """
    columns = (
        rich_progress.TextColumn("{task.description}", markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    quiet = quiet or (transient and not console.is_terminal)
    with rich_progress.Progress(
        *columns, console=console, disable=quiet, transient=transient
    ) as drawn:
        bars: dict[str, rich_progress.TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = drawn.add_task(step, total=total or None)
            drawn.update(bars[step], completed=done, total=total or None)

        yield report
