"""`raddiag dataset build`: a public data set from its publisher's files."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, say
from raddiag_hf.cli.options import with_options
from raddiag_hf.data.store.storage_options import StorageOptions

NAMED_SCANS = 20
"""Scans that were left out and are named; a whole archive of a publisher may be damaged."""

EXAMPLES = """
An interrupted build resumes when the same command is given again.

**Examples**

`raddiag dataset build pocus --data-dir downloads/covid19_ultrasound/data --output pocus-cases`

`raddiag dataset build rp3d_diag --data-dir RP3D-DiagDS --output rp3d --num-proc 8`

`raddiag dataset build brain_tumor --data-dir brain_tumor --output tumors --bits 8 --max-side 256`

`raddiag dataset build cxr14 --data-dir downloads/cxr14 --verify`
"""


@with_options
def build(
    *,
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
    near_duplicates: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=127,
            metavar="BITS",
            help="Keep patients in one split whose PNG or JPEG pictures differ by so few of 256 "
            "bits of a hash, such as 20. By default nobody looks.",
        ),
    ] = None,
    storage: StorageOptions,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check files, columns and counts.")
    ] = False,
) -> None:
    """Build a case data set as sharded Parquet, in parallel; or verify the publisher's files."""
    if (output is None) != verify:
        raise ArgumentError("name either --output DIR to build, or --verify to check only")
    from raddiag_hf.core.errors import InputError
    from raddiag_hf.data.publishers.loading import load_builder
    from raddiag_hf.data.store.case_store import CaseStorageError

    try:
        builder = load_builder(
            name,
            config,
            data_dir=data_dir,
            strict=strict,
            near_duplicates=near_duplicates,
            storage=storage,
        )
    except InputError:
        raise
    except ValueError as error:
        raise ArgumentError(f"{name}: {error}") from None
    if output is None:
        known = {what: count for what, count in builder.verify().items() if count}
        counts = ", ".join(f"{count:,} {what}" for what, count in known.items())
        say(f"{builder.TITLE}: {counts}")
        return
    try:
        store = builder.write(output, num_proc=num_proc)
    except CaseStorageError as error:
        raise ArgumentError(f"{name}: {error}") from error
    _list_rejections(output)
    counts = ", ".join(f"{store.num_cases(split):,} {split}" for split in store.shards)
    say(f"{output}: {counts}")


def _list_rejections(output: Path) -> None:
    """Say how much was set aside, and name the first of it."""
    from raddiag_hf.data.store.case_writer import REJECTED_FILE
    from raddiag_hf.data.store.rejection import read_rejections

    path = output / REJECTED_FILE
    if not path.exists():
        return
    rejections = read_rejections(path)
    lines = [
        f"left out: {rejection.path}: {rejection.found}" for rejection in rejections[:NAMED_SCANS]
    ]
    cases = len({rejection.case_id for rejection in rejections})
    lines.append(f"left out: {len(rejections):,} scans, of {cases:,} cases; all are in {path}")
    say(*lines, style="dim")
