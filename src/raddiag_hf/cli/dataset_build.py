"""`raddiag dataset build`: a public data set from its publisher's files."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from raddiag_hf.cli.scan_arguments import ArgumentError

EXAMPLES = """
An interrupted build goes on where it stopped when the same command is given again.

**Examples**

`raddiag dataset build pocus --data-dir downloads/covid19_ultrasound --output pocus`

`raddiag dataset build rp3d_diag --config icd10 --data-dir RP3D-DiagDS --output rp3d --num-proc 8`

`raddiag dataset build cxr14 --data-dir downloads/cxr14 --verify`
"""


def build(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="rp3d_diag, phantoms, pocus, cxr14, covid_chestxray, brain_tumor, or the path of "
            "a script of your own.",
            show_default=False,
        ),
    ],
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The publisher's files, as they were downloaded."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="A new folder.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(metavar="NAME", help="Configuration, where there are several.")
    ] = None,
    num_proc: Annotated[int, typer.Option(min=1, metavar="N", help="Processes.")] = 1,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict/--no-strict",
            help="Stop at a scan that cannot be read, or set it aside in rejected.csv.",
        ),
    ] = True,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check files, columns and counts.")
    ] = False,
) -> None:
    """Build a case data set as sharded Parquet, in parallel; or verify the publisher's files."""
    if (output is None) != verify:
        raise ArgumentError("name either --output DIR to build, or --verify to check only")
    from raddiag_hf.data.builder_error import DataSourceError
    from raddiag_hf.data.loading import load_builder
    from raddiag_hf.data.storage_error import CaseStorageError

    try:
        builder = load_builder(name, config, data_dir=data_dir, strict=strict)
    except DataSourceError:
        raise
    except ValueError as error:
        raise ArgumentError(f"{name}: {error}") from None
    console = Console(stderr=True)
    if output is None:
        counts = ", ".join(f"{count:,} {what}" for what, count in builder.verify().items())
        console.print(f"{builder.TITLE}: {counts}", highlight=False, soft_wrap=True)
        return
    try:
        store = builder.write(output, num_proc=num_proc)
    except CaseStorageError as error:
        raise ArgumentError(f"{name}: {error}") from error
    counts = ", ".join(f"{store.num_cases(split):,} {split}" for split in store.shards)
    console.print(f"{output}: {counts}", markup=False, highlight=False, soft_wrap=True)
