"""`raddiag`: the command line, and what becomes of errors there.

Exit codes: 0 done; 1 our fault, with a traceback; 2 the input is at fault, with one line on
standard error; 130 interrupted. Modules that need torch are imported inside the verbs, so that help
and usage errors answer at once.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from raddiag_hf import __version__
from raddiag_hf.cli import (
    compare,
    convert_checkpoint,
    demo,
    diagnose,
    embed,
    evaluate,
    explain,
    finetune,
    reproduce,
    train,
)
from raddiag_hf.cli.dataset.group import dataset
from raddiag_hf.cli.knowledge.group import knowledge
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.plain_text import PlainFormatter, printable

OUR_FAULT = f"This is a fault of raddiag {__version__}, not of its input; please report it."

INTERRUPTED = 130
"""Exit code of what the user ended with Ctrl-C, as shells have it."""
RESUMABLE = frozenset(
    {"train", "finetune", "evaluate", "embed", "build", "import", "push", "pretrain"}
)
"""Verbs that keep what they have finished."""

app = typer.Typer(
    name="raddiag",
    help="Case-level, long-tailed diagnosis on radiology images. "
    "Research software, not a medical device.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("diagnose", epilog=diagnose.EXAMPLES)(diagnose.diagnose)
app.command("explain", epilog=explain.EXAMPLES)(explain.explain)
app.command("convert-checkpoint", epilog=convert_checkpoint.EXAMPLES)(
    convert_checkpoint.convert_checkpoint
)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("embed", epilog=embed.EXAMPLES)(embed.embed)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("finetune", epilog=finetune.EXAMPLES)(finetune.finetune)
app.command("reproduce", epilog=reproduce.EXAMPLES)(reproduce.reproduce)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)

for group in (dataset, knowledge):
    app.add_typer(group)

    @group.callback(invoke_without_command=True)
    def show_verbs(context: typer.Context) -> None:
        """Show the verbs of a group where none is named."""
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())


@app.callback(invoke_without_command=True)
def raddiag(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Answer what needs no verb."""
    if version:
        typer.echo(f"raddiag {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code.

    Args:
        arguments: Without the program's name; those of the process by default.
    """
    if logging.lastResort is not None:  # it prints what nobody else handles
        logging.lastResort.setFormatter(PlainFormatter())
    try:
        code = app(arguments, prog_name="raddiag", standalone_mode=False)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except typer.TyperException as error:
        return _blame_input(error.format_message())
    except (ValueError, OSError) as error:
        if not _is_input_error(error):
            error.add_note(OUR_FAULT)
            raise
        return _blame_input(_describe(error))
    except Exception as error:  # the outermost boundary adds a note and raises it again
        error.add_note(OUR_FAULT)
        raise
    if code == INTERRUPTED:
        _tell_of_interruption(sys.argv[1:] if arguments is None else arguments)
    return code if isinstance(code, int) else 0


def _tell_of_interruption(arguments: Sequence[str]) -> None:
    resumed = RESUMABLE.intersection(arguments[:2])
    advice = "; the same command goes on where it stopped" if resumed else ""
    sys.stderr.write(f"\nraddiag: interrupted{advice}\n")


def _blame_input(message: str) -> int:
    sys.stderr.write(f"raddiag: {printable(' '.join(message.split()))}\n")
    return 2


def _is_input_error(error: Exception) -> bool:
    """Whether what was given is at fault; our own ValueErrors are faults of ours."""
    if isinstance(error, (InputError, OSError)):
        return True
    from raddiag_hf.model.label_texts import LabelTextError  # the model's files import nothing

    return isinstance(error, LabelTextError)


def _describe(error: Exception) -> str:
    """Return an error's message, an operating system's one with its file first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
