"""`raddiag demo`: the whole way on synthetic phantoms, without network or patients."""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from raddiag_hf.cli.console import quiet_libraries

EXAMPLES = """
**Examples**

`raddiag demo`

`raddiag demo --output /tmp/demo --train-cases 2000 --epochs 20`

`raddiag diagnose demo-output/case --model demo-output/model`
"""


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.")
    ] = Path("demo-output"),
    train_cases: Annotated[int, typer.Option(min=50, help="Phantoms to train on.")] = 800,
    epochs: Annotated[float, typer.Option(min=0.1, help="Passes over them.")] = 9,
    seed: Annotated[int, typer.Option(min=0, help="Of phantoms and training.")] = 0,
) -> None:
    """Draw phantoms, train a small RadDiag on them, evaluate it, and diagnose cases.

    Writes report.html, the model, one phantom case as DICOM, and metrics.json. The demo model knows
    phantoms only.
    """
    from raddiag_hf.cli.diagnosis_table import render_diagnosis
    from raddiag_hf.demo.demo_report import PHANTOMS_ONLY
    from raddiag_hf.demo.run_demo import run_demo

    quiet_libraries()
    start = time.perf_counter()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars: dict[str, TaskID] = {}

        def report_step(what: str, done: int, total: int) -> None:
            if what not in bars:
                if bars:
                    progress.stop_task(list(bars.values())[-1])
                bars[what] = progress.add_task(what, total=total or None)
            progress.update(bars[what], completed=done)

        result = run_demo(
            output,
            num_cases=(train_cases, 200, 300),
            num_epochs=epochs,
            seed=seed,
            report_step=report_step,
        )
    console = Console()
    case, diagnosis = result.diagnoses[0]
    console.print(f"\n[bold]A held-out phantom with {', '.join(case.known_labels)}:[/]")
    console.print(render_diagnosis(diagnosis))
    groups = result.evaluation.groups
    auc = ", ".join(
        f"{name} {group.values['auc']:.3f}" for name, group in groups.items() if group.evaluated
    )
    console.print(f"AUC on {result.evaluation.num_cases} held-out phantoms: {auc}")
    console.print(PHANTOMS_ONLY, style="dim")
    console.print(
        f"\nDone in {time.perf_counter() - start:.0f} s. Open {result.report}, or go on with\n"
        f"  raddiag diagnose {result.case_dir} --model {result.model_dir}",
        highlight=False,
        soft_wrap=True,
    )
