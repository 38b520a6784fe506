"""`raddiag dataset push`: a case data set, and nothing beside it, to the Hub."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, say
from raddiag_hf.core.plain_text import printable_json

EXAMPLES = """
What leaves is the card (README.md), the label sets and the shards, each checked for columns and
metadata that do not belong there; every other file, such as `rejected.csv`, stays and is named.
Readers see the whole data set or nothing; an interrupted upload resumes when the same command is
given again. Who may read it is set on its page: a gate, members, an agreement to sign.

**Pixels and pseudonyms leave as they are.** Publish a hospital's data only as its rules allow.

**Examples**

`raddiag dataset push cases --repo my-hospital/chest-cases`

`HF_TOKEN=... raddiag dataset push pocus-cases --repo me/pocus-cases --public`
"""


def push(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="What `raddiag dataset build` or `import` made.",
            show_default=False,
        ),
    ],
    repo: Annotated[
        str, typer.Option(metavar="NAMESPACE/NAME", help="Made if there is none of this name.")
    ],
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public",
            help="Who sees it. By default, a new one is private and an old one stays as it is.",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="With the right to write; by default HF_TOKEN, or that of `hf auth login`. Others "
            "on this machine can see what stands on a command line.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was published as JSON.", show_default=False)
    ] = False,
) -> None:
    """Publish a case data set on the Hugging Face Hub."""
    from raddiag_hf.hub.publishing import publish_dataset

    try:
        published = publish_dataset(folder, repo, private=private, token=token)
    except ValueError as error:
        raise ArgumentError(str(error)) from error
    say(*(f"left out: {name}" for name in published.left_out), style="dim")
    if as_json:
        typer.echo(printable_json(asdict(published)))
    else:
        who = "private" if published.is_private else "public"
        typer.echo(f"{published.url}: {len(published.files)} files, {who}")
