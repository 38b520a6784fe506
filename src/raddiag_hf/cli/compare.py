"""`raddiag compare`: finished evaluations side by side, and whether one model is better."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import SafeConsole, check_output_folder, step_progress
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.plain_text import printable_json
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings, ResampledUnit

EXAMPLES = """
The first evaluation is the baseline. Evaluations of the same cases, whose predictions are still
there, are compared pair by pair on the same resamples; others stand in the table alone.

**Examples**

`raddiag compare baseline/metrics.json out/metrics.json --output comparison`

`raddiag compare baseline first second --json`
"""


@with_options
def compare(
    *,
    evaluations: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="METRICS",
            help="metrics.json of each evaluation, or its folder; two or more.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write comparison.json, table.md, table.tex and ROC curves there.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A label whose ROC curves are drawn; give it once for each. By default the nine "
            "with the most positive cases.",
        ),
    ] = None,
    bootstrap: BootstrapSettings,
    resample: Annotated[ResampledUnit, typer.Option(help="What is drawn.")] = (
        ResampledUnit.PATIENT
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the comparison as JSON, and nothing else.")
    ] = False,
) -> None:
    """Compare finished evaluations, each against the first."""
    if output is not None:
        check_output_folder(output)

    from raddiag_hf.cli.evaluation_table import below, render_comparison
    from raddiag_hf.evaluation.evaluation_comparison import compare_evaluations

    with step_progress() as progress:
        progress("Comparing", 0, 0)
        comparison = compare_evaluations(
            evaluations or [],
            output=output,
            bootstrap=bootstrap,
            resample=resample,
            labels=label or (),
        )
    content = comparison.to_dict()
    if as_json:
        typer.echo(printable_json(content))
        return
    console = SafeConsole()
    console.print(render_comparison(comparison.models, content["paired"]))
    reasons = [f"{name}: no difference, {why}." for name, why in comparison.not_paired.items()]
    console.print(below(comparison.notes, reasons))
