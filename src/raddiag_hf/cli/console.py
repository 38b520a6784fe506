"""Console of the verbs: bars, remarks, and the checks of what a command line names."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.segment import Segment

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.plain_text import printable
from raddiag_hf.core.progress import Progress


class ArgumentError(InputError):
    """A command line that means nothing: which argument, and what was expected."""


class SafeConsole(Console):
    """A console on which foreign text does nothing but stand there."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield what is printed; of texts, what a terminal would act on is replaced."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                segment = Segment(printable(segment.text), segment.style)
            yield segment


def say(*lines: str, style: str | None = None, console: Console | None = None) -> None:
    """Print lines as they are, without markup; on standard error unless a console is given."""
    console = console or SafeConsole(stderr=True)
    for line in lines:
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def quiet_libraries(with_datasets: bool = False) -> None:
    """Keep bars and remarks of libraries away; what they would warn of is refused in one line.

    Args:
        with_datasets: Also those of `datasets`, which takes a second to import.
    """
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()  # a warning for each retry where the Hub cannot be reached
    if with_datasets:
        import datasets

        datasets.disable_progress_bars()


@contextmanager
def step_progress(quiet: bool = False, transient: bool = False) -> Iterator[Progress]:
    """Give the function that draws bars on standard error, one for each step of long work.

    Bars of work that fails are removed: one line says why.

    Args:
        quiet: Draw nothing, as all processes but the main one should.
        transient: Leave nothing behind: for work of seconds, and for what may fail in one line.
    """
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    console = SafeConsole(stderr=True)
    quiet = quiet or (transient and not console.is_terminal)
    with Bars(
        *columns, TimeElapsedColumn(), console=console, disable=quiet, transient=transient
    ) as drawn:
        bars: dict[str, TaskID] = {}

        def progress(step: str, done: int, total: int) -> None:
            if step not in bars:
                bars[step] = drawn.add_task(step, total=total or None)
            drawn.update(bars[step], completed=done, total=total or None)

        try:
            yield progress
        except Exception:
            drawn.live.transient = True
            console.quiet = not console.is_terminal  # an empty line would end the bars there
            raise


def check_output_folder(output: Path) -> None:
    """Refuse a folder that cannot be made before the work is done rather than after.

    Raises:
        ArgumentError: If it cannot be made or written.
    """
    existing = output
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ArgumentError(f"--output {output}: {existing} is a file, expected a folder")
    check_writable(existing, f"--output {output}")


def check_output_file(output: Path) -> None:
    """Refuse a file that cannot be written; an existing file will be replaced.

    Raises:
        ArgumentError: If it is a folder or a device, or its folder is not there or cannot be
            written.
    """
    if output.is_dir():
        raise ArgumentError(f"--output {output}: is a folder, expected the name of a file")
    if output.exists() and not output.is_file():
        raise ArgumentError(f"--output {output}: is not a regular file")
    if not output.parent.is_dir():
        raise ArgumentError(f"--output {output}: there is no folder {output.parent}")
    check_writable(output.parent, f"--output {output}")


def check_writable(folder: Path, argument: str) -> None:
    """Refuse a folder that takes no new files; permissions alone do not tell.

    Raises:
        ArgumentError: Beginning with ``argument``.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ArgumentError(f"{argument}: {folder} cannot be written: {error.strerror}") from None
