"""`raddiag dataset lookup`: pseudonyms back to the hospital's own names, with the key."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import ArgumentError
from raddiag_hf.core.plain_text import printable, printable_json

EXAMPLES = """
What is printed names people: keep it where they may be known. Needed are the manifest or folder
that was imported and the key file that the import made; a pseudonym alone tells nothing.

**Examples**

`raddiag dataset lookup manifest.csv --key cases.key case-0123456789abcdef0123`

`raddiag dataset lookup /archive/2024 --key cases.key --json`
"""


def lookup(
    source: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST|FOLDER", help="What was imported.", show_default=False),
    ],
    pseudonyms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PSEUDONYM...",
            help="Of cases, patients, studies or files; by default of all cases.",
            show_default=False,
        ),
    ] = None,
    *,
    key: Annotated[Path, typer.Option(metavar="FILE", help="Key of the import.")],
    class_folders: Annotated[
        bool, typer.Option("--class-folders", help="As the import was told.", show_default=False)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON.", show_default=False)
    ] = False,
) -> None:
    """Say which case, patient, study or file of the hospital a pseudonym stands for."""
    from raddiag_hf.data.hospital.lookup import look_up
    from raddiag_hf.data.hospital.pseudonyms import Pseudonyms, load_key
    from raddiag_hf.data.hospital.source import read_hospital_source

    if not source.exists():
        raise ArgumentError(f"{source}: there is no such manifest or folder")
    known = Pseudonyms(load_key(key))
    found = look_up(
        read_hospital_source(source, class_folders=class_folders), known, pseudonyms or ()
    )
    if as_json:
        typer.echo(printable_json([asdict(one) for one in found]))
        return
    for one in found:
        rows = f" (row {', '.join(map(str, one.rows))})" if one.rows else ""
        original = " ".join(one.original.split())
        typer.echo(printable(f"{one.pseudonym}: {original}{rows}: {', '.join(one.paths)}"))
