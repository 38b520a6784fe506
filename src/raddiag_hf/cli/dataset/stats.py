"""`raddiag dataset stats`: a case data set in numbers and figures."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, say
from raddiag_hf.cli.options import DataDirOption, LocationArgument
from raddiag_hf.core.plain_text import escaped_json
from raddiag_hf.labels.bands import CountedCases

STATISTICS_FILE = "statistics.json"

EXAMPLES = """
Modalities and anatomies of normal and abnormal cases, images and modalities per case, and the
distribution of the labels over head, body and tail, as in the paper's Figure 2.

**Examples**

`raddiag dataset stats cases --output figures`

`raddiag dataset stats cases --output figures --json | jq .scans_per_case`
"""


def stats(
    location: LocationArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="For statistics.json and the figures as PNG."
        ),
    ],
    data_dir: DataDirOption = None,
    normal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL",
            help="A label that says that nothing was found, beside Normal, No Finding, regular and "
            "notumor; give it once for each.",
        ),
    ] = None,
    bands: Annotated[
        CountedCases,
        typer.Option(
            help="Whether head, body and tail go by training cases, or by the cases of the whole "
            "data set, as in the paper."
        ),
    ] = CountedCases.TRAINING,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the numbers as JSON too.", show_default=False)
    ] = False,
) -> None:
    """Count the cases of a data set by modality, anatomy, size and label, and draw them."""
    from raddiag_hf.core.atomic_files import atomic_write
    from raddiag_hf.data.analysis.statistics import case_statistics
    from raddiag_hf.data.analysis.statistics_figures import save_statistics_figures
    from raddiag_hf.data.opening import find_cases, named_faults
    from raddiag_hf.data.store.case_metadata import case_label_sets, read_metadata
    from raddiag_hf.labels.normal_labels import NORMAL_LABELS

    with named_faults(location):
        cases = find_cases(location, data_dir=data_dir)
        named = set(normal or ())
        known = {name for one in case_label_sets(cases).values() for name in one.names}
        if unknown := sorted(named - known):
            raise ArgumentError(f"--normal {unknown[0]}: {location} has no such label")
        normal_labels = NORMAL_LABELS | {name.casefold() for name in named}
        statistics = case_statistics(read_metadata(cases), normal_labels, bands)
    figures = save_statistics_figures(statistics, output)
    text = statistics.to_json()
    with atomic_write(output / STATISTICS_FILE) as temporary:
        temporary.write_text(text, "utf-8")
    say(*map(str, (output / STATISTICS_FILE, *figures)))
    if as_json:
        typer.echo(escaped_json(text.rstrip()))
