"""`raddiag demo`: the whole way on synthetic phantoms, without network or patients."""

import time
from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import SafeConsole, quiet_libraries, say, step_progress
from raddiag_hf.cli.options import with_options
from raddiag_hf.demo.demo_settings import DemoSettings

EXAMPLES = """
**Examples**

`raddiag demo`

`raddiag demo --output /tmp/demo --train-cases 2000 --epochs 20`

`raddiag diagnose demo-output/case --model demo-output/model`

`raddiag evaluate --model demo-output/model --dataset demo-output/cases --output evaluation`
"""


@with_options
def demo(
    settings: DemoSettings,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write.")
    ] = Path("demo-output"),
) -> None:
    """Draw phantoms, train a small RadDiag on them, evaluate it, and diagnose cases.

    Writes report.html, the phantoms as a data set, the model, its evaluation, and one phantom case
    as DICOM. The demo model knows phantoms only.
    """
    from raddiag_hf.cli.diagnosis_table import render_diagnosis
    from raddiag_hf.demo.demo_report import PHANTOMS_ONLY
    from raddiag_hf.demo.demo_run import HEAD_FROM, TAIL_BELOW, run_demo

    quiet_libraries(with_datasets=True)
    start = time.perf_counter()
    with step_progress() as progress:
        result = run_demo(output, settings, progress)
    console = SafeConsole()
    case, diagnosis = result.diagnoses[0]
    console.print(f"\n[bold]A held-out phantom with {', '.join(case.known_labels)}:[/]")
    console.print(render_diagnosis(diagnosis))
    groups = result.evaluation.groups
    auc = ", ".join(
        f"{name} {group.values['auc']:.3f}" for name, group in groups.items() if group.evaluated
    )
    console.print(f"AUC on {result.evaluation.num_cases} held-out phantoms: {auc}")
    console.print(PHANTOMS_ONLY, style="dim")
    say(
        f"\nDone in {time.perf_counter() - start:.0f} s. Open {result.report}, and then try\n"
        f"  raddiag diagnose {result.case_dir} --model {result.model_dir}\n"
        f"  raddiag evaluate --model {result.model_dir} --dataset {result.cases_dir} "
        f"--head-from {HEAD_FROM} --tail-below {TAIL_BELOW} --output evaluation",
        console=console,
    )
