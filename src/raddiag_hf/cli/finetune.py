"""`raddiag finetune`: a trained model adapted to another data set."""

import os
import re
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from raddiag_hf.cli.console import ArgumentError, quiet_libraries, step_progress
from raddiag_hf.training.finetune_settings import FinetuneSettings, Fusion, Head, Method

DEFAULTS = FinetuneSettings(Method.LINEAR_PROBE)

EXAMPLES = """
Thresholds and all choices are made on the validation split; where there is none, patients of the
training split are set aside. An interrupted run resumes when the same command is given again.

**Examples**

`raddiag finetune --model ID --dataset cases --method linear-probe --output ours`

`raddiag finetune -m ID -d cases --method lora --lora-rank 16 --epochs 30 -o adapters`

`raddiag finetune -m ID -d cases --method full --chunk-size 16 -o ours`

`raddiag diagnose study/ --model adapters`
"""


def finetune(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="ID",
            help="Folder or Hub id of a RadDiag model; `raddiag convert-checkpoint` makes one of "
            "the authors' checkpoint.",
        ),
    ],
    dataset: Annotated[
        Path,
        typer.Option(
            "--dataset",
            "-d",
            metavar="DIR",
            help="What `raddiag dataset build` or `raddiag dataset import` wrote.",
        ),
    ],
    method: Annotated[
        Method,
        typer.Option(
            help="linear-probe: logistic regression on case embeddings, in seconds. lora: adapters "
            "of a few MB. full: all weights."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new folder, or the same again.")
    ],
    head: Annotated[
        Head,
        typer.Option(
            help="Classifier of a new label set: learnt from scratch, or a knowledge head that "
            "reads the label names."
        ),
    ] = DEFAULTS.head,
    text_encoder: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The text encoder of a model with a knowledge head."),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which labels to learn, where there are several."),
    ] = None,
    fusion: Annotated[
        Fusion,
        typer.Option(help="auto skips the fusion of scans where every case has one scan."),
    ] = DEFAULTS.fusion,
    epochs: Annotated[
        int, typer.Option(min=1, help="At most; training stops when validation gets no better.")
    ] = DEFAULTS.num_epochs,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs to wait for a better validation loss.")
    ] = DEFAULTS.patience,
    batch_size: Annotated[int, typer.Option(min=1, help="Cases of a step.")] = DEFAULTS.batch_size,
    learning_rate: Annotated[
        float | None,
        typer.Option(metavar="LR", help="Peak; by default 0.001 for lora, 0.0001 for full."),
    ] = None,
    layer_decay: Annotated[
        float,
        typer.Option(help="full: factor of the learning rate from each layer to the one before."),
    ] = DEFAULTS.layer_decay,
    lora_rank: Annotated[int, typer.Option(min=1, help="lora: rank.")] = DEFAULTS.lora_rank,
    train_batch_norm: Annotated[
        bool,
        typer.Option(
            "--train-batch-norm", help="full: let batch norms follow the new data; needs a lot."
        ),
    ] = False,
    chunk_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Slices encoded at once; fewer need less memory."),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, cuda or cuda:N; by default the first GPU."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, metavar="N", help="Processes that decode cases.")
    ] = DEFAULTS.num_workers,
    seed: Annotated[int, typer.Option(min=0, help="Of splits, weights and order.")] = 0,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit on the Hub.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record of the run as JSON, and nothing else.")
    ] = False,
) -> None:
    """Adapt a model to your cases: few labels or many, X-ray or whole studies."""
    if not (device is None or re.fullmatch(r"cpu|mps|cuda(:\d+)?", device)):
        raise ArgumentError(f"--device {device}: expected cpu, cuda, cuda:N or mps")
    if device != "cpu":
        _show_one_gpu(device)

    from raddiag_hf.training.finetune import finetune as run_finetuning

    quiet_libraries(with_datasets=True)
    # PEFT asks transformers by an old name
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
    settings = FinetuneSettings(
        method=method,
        head=head,
        fusion=fusion,
        label_column=label_column,
        num_epochs=epochs,
        patience=patience,
        batch_size=batch_size,
        learning_rate=learning_rate,
        layer_decay=layer_decay,
        lora_rank=lora_rank,
        train_batch_norm=train_batch_norm,
        chunk_size=chunk_size,
        device="cuda" if device is not None and device.startswith("cuda") else device,
        num_workers=workers,
        seed=seed,
    )
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
        typer.echo(record.to_json().rstrip())
        return
    console = Console()
    for line in (
        f"Chosen on validation: {record.selection}",
        f"Thresholds: {record.threshold_source or 'none'}",
        *record.notes,
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if record.metrics is not None:
        console.print(_metrics_table(record.metrics["groups"], record.metrics["num_cases"]))
    console.print(
        f"{output}: model card in README.md; next\n  raddiag diagnose SCAN --model {output}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _show_one_gpu(device: str | None) -> None:
    """Hide all GPUs but one, before CUDA starts: a process trains on one."""
    index = int(device.partition(":")[2] or 0) if device is not None else 0
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if visible and index >= len(visible):
        raise ArgumentError(f"--device {device}: CUDA_VISIBLE_DEVICES shows {len(visible)} devices")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[index] if visible else str(index)


def _metrics_table(groups: dict[str, list[object]], num_cases: int) -> Table:
    """Return the mean metrics of all labels on the test cases, with their intervals."""
    table = Table("metric", "mean", "95 % interval", title=f"{num_cases} test cases")
    last = len(groups["group"]) - 1
    for name in ("auc", "ap", "f1", "mcc", "acc"):
        value = groups.get(name, [None] * (last + 1))[last]
        if isinstance(value, float):
            low, high = groups[f"{name}_low"][last], groups[f"{name}_high"][last]
            ends = f"{low:.3f} to {high:.3f}" if isinstance(low, float) else "undefined"
            table.add_row(name.upper(), f"{value:.3f}", ends)
    return table
