"""`raddiag finetune`: a classifier of a user's own cases, with weights to start from or without."""

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from raddiag_hf.cli.console import ArgumentError, SafeConsole, quiet_libraries, say, step_progress
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.plain_text import escaped_json
from raddiag_hf.training.finetune_settings import FinetuneSettings

EXAMPLES = """
Thresholds are chosen on the validation split; where there is none, patients of the training split
are set aside. No choice looks at test cases. An interrupted run resumes when the same command is
given again.

**Examples**

`raddiag finetune --dataset cases --output ours`

`raddiag finetune --model ID --dataset cases --output ours`

`raddiag finetune -m ID -d cases --method lora --lora-rank 16 --epochs 30 -o adapters`

`raddiag finetune -m ID -d cases --method full --chunk-size 16 -o ours`

`raddiag diagnose study/ --model adapters`
"""


@with_options
def finetune(
    *,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            "-d",
            metavar="DATASET",
            help="Folder, Hub id or builder of a case data set; `raddiag dataset import` makes one "
            "of a hospital's files.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new folder, or the same again.")
    ],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            "--start",
            metavar="ID",
            help="What to start from: folder or Hub id of a RadDiag model (`raddiag "
            "convert-checkpoint` makes one of the authors' checkpoint); `backbone:` and folder or "
            "Hub id of a vision backbone; or `scratch`, random weights, which is the default.",
        ),
    ] = None,
    settings: FinetuneSettings,
    text_encoder: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The text encoder of a model with a knowledge head."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit of the model.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record of the run as JSON, and nothing else.")
    ] = False,
) -> None:
    """Train a classifier of your cases: few labels or many, X-ray or whole studies.

    What no option says is chosen by start and data, and told with the reason.
    """
    model = _one_start(models or [])
    device = settings.device
    if not (device is None or re.fullmatch(r"cpu|mps|cuda(:\d+)?", device)):
        raise ArgumentError(f"--device {device}: expected cpu, cuda, cuda:N or mps")
    if device != "cpu":
        _show_one_gpu(device)

    from raddiag_hf.metrics.confusion import describe_accuracy
    from raddiag_hf.training.finetuning import finetune as run_finetuning

    quiet_libraries(with_datasets=True)
    # PEFT asks transformers by an old name
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
    if device is not None and device.startswith("cuda"):
        settings = replace(settings, device="cuda")  # the one that is shown
    with step_progress() as report:
        record = run_finetuning(
            model,
            dataset,
            output,
            settings,
            revision=revision,
            text_encoder=text_encoder,
            progress=report,
        )
    if as_json:
        typer.echo(escaped_json(record.to_json().rstrip()))
        return
    console = SafeConsole()
    decided = "Decisions" if record.is_exclusive else "Thresholds"
    say(
        *record.choices,
        f"Weights: {record.selection}",
        f"{decided}: {record.threshold_source or 'none'}",
        *record.notes,
        console=console,
    )
    for warning in record.warnings:
        console.print(f"[bold yellow]Not to be relied on:[/] {escape(warning)}.")
    if record.metrics is not None:
        console.print(_metrics_table(record.metrics["groups"], record.metrics["num_cases"]))
        if (confusion := record.metrics.get("confusion")) is not None:
            say(f"{describe_accuracy(confusion)}.", console=console)
    say(
        f"{output}: model card in README.md; next",
        f"  raddiag diagnose SCAN --model {output}",
        console=console,
    )


def _one_start(addresses: list[str]) -> str | None:
    """Return what all mentions of the start name; None without any."""
    named = list(dict.fromkeys(addresses))
    if len(named) > 1:
        raise ArgumentError(f"--model names two starts, {named[0]} and {named[1]}: expected one")
    return named[0] if named else None


def _show_one_gpu(device: str | None) -> None:
    """Hide all GPUs but one, before CUDA starts: a process trains on one."""
    index = int(device.partition(":")[2] or 0) if device is not None else 0
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if visible and index >= len(visible):
        raise ArgumentError(f"--device {device}: CUDA_VISIBLE_DEVICES shows {len(visible)} devices")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[index] if visible else str(index)


def _metrics_table(groups: dict[str, list[object]], num_cases: int) -> Table:
    """Return the mean metrics of all labels on the test cases, with their intervals."""
    table = Table(
        "metric",
        "mean",
        "95 % interval",
        title=f"{num_cases} test {'case' if num_cases == 1 else 'cases'}",
    )
    last = len(groups["group"]) - 1
    for name in ("auc", "ap", "f1", "mcc", "acc"):
        value = groups.get(name, [None] * (last + 1))[last]
        if isinstance(value, float):
            low, high = groups[f"{name}_low"][last], groups[f"{name}_high"][last]
            ends = f"{low:.3f} to {high:.3f}" if isinstance(low, float) else "undefined"
            table.add_row(name.upper(), f"{value:.3f}", ends)
    return table
