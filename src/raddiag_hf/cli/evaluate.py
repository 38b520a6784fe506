"""`raddiag evaluate`: a model and a data set in, every metric with its interval out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from raddiag_hf.cli.case_options import (
    ChunkSizeOption,
    DeviceOption,
    LabelsOption,
    Precision,
    PrecisionOption,
)
from raddiag_hf.cli.console import ArgumentError, check_output_folder, step_progress
from raddiag_hf.metrics.bootstrap import ResampledUnit

EXAMPLES = """
Thresholds, which F1 and MCC need, are those stored with the model. `--calibrate-on validation`
chooses them, and a temperature, on the validation cases of the same data set, `--store` keeps them
in the model's folder. They are never chosen on the cases that are evaluated.

An evaluation that was interrupted goes on where it was. Several processes share the cases: start
them with `accelerate launch` or `torchrun`.

**Examples**

`raddiag evaluate --model ./model --dataset cases --split test --output out`

`raddiag evaluate -m ./model -d cases -o out --calibrate-on validation --store`

`accelerate launch --num_processes 4 -m raddiag_hf.cli.main evaluate -m ./model -d cases -o out`

`raddiag evaluate --compare baseline/metrics.json out/metrics.json --output comparison`
"""

SUMMARY_WITHOUT = ("classes", "roc", "reliability", "breakdown")
"""What `metrics.json` holds and standard output does not: too long to be read there."""


def evaluate(
    evaluations: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[METRICS]...", help="With --compare: metrics.json files.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="ID", help="Folder or Hub id of a RadDiag model."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", "-d", metavar="DIR", help="Folder or Hub id of a case data set."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write report.html, figures, metrics.json, tables and predictions there.",
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Put finished evaluations side by side, each against the first."
        ),
    ] = False,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Label space; by default the model's.")
    ] = None,
    calibrate_on: Annotated[
        str | None,
        typer.Option(metavar="SPLIT", help="Choose temperature and thresholds on validation."),
    ] = None,
    target_fpr: Annotated[
        float | None,
        typer.Option(
            metavar="RATE",
            help="Choose thresholds for this false-positive rate, not for the highest F1.",
        ),
    ] = None,
    min_positives: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Positives for an F1 threshold of a class's own."),
    ] = 10,
    store: Annotated[
        bool, typer.Option("--store", help="Keep what was chosen in the model's config.json.")
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=0, metavar="N", help="Bootstrap resamples; 0 for no intervals.")
    ] = 1000,
    resample: Annotated[ResampledUnit, typer.Option(help="What is resampled.")] = (
        ResampledUnit.PATIENT
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    head_from: Annotated[
        int, typer.Option(min=0, metavar="N", help="Training cases from which a class is head.")
    ] = 100,
    tail_below: Annotated[
        int, typer.Option(min=0, metavar="N", help="Training cases below which it is tail.")
    ] = 30,
    device: DeviceOption = None,
    dtype: PrecisionOption = Precision.FLOAT32,
    chunk_size: ChunkSizeOption = None,
    labels: LabelsOption = None,
    official: Annotated[
        bool,
        typer.Option(
            "--official",
            help="Put what the reference implementation prints into metrics.json too.",
        ),
    ] = False,
    batch_slices: Annotated[
        int, typer.Option(min=1, metavar="N", help="Slices of a batch of cases.")
    ] = 128,
    num_workers: Annotated[
        int, typer.Option(min=0, metavar="N", help="Processes that decode, per device.")
    ] = 2,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit of the model.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace predictions of another model or other data."),
    ] = False,
    with_report: Annotated[
        bool, typer.Option("--report/--no-report", help="Draw figures and write report.html.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON, and nothing else.")
    ] = False,
) -> None:
    """Evaluate a model: every metric per class and per group, with its interval."""
    if compare:
        _compare(evaluations or [], output, resamples, resample, seed, as_json)
        return
    if evaluations:
        raise ArgumentError(f"{evaluations[0]}: metrics files are for --compare only")
    if model is None or dataset is None or output is None:
        needed = {"--model": model, "--dataset": dataset, "--output": output}
        missing = next(name for name, value in needed.items() if value is None)
        raise ArgumentError(f"Missing option '{missing}'.")
    check_output_folder(output)

    import datasets
    import torch
    from transformers.utils import logging as transformers_logging

    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.checkpoints.loading import load_model
    from raddiag_hf.evaluation.evaluate_model import evaluate_model
    from raddiag_hf.evaluation.evaluation_settings import EvaluationSettings, PredictionSettings
    from raddiag_hf.evaluation.predict_cases import join_processes
    from raddiag_hf.evaluation.report.evaluation_report import write_evaluation_report
    from raddiag_hf.metrics import BootstrapSettings
    from raddiag_hf.vocabulary import Split

    if calibrate_on is not None and calibrate_on not in list(Split):
        raise ArgumentError(f"--calibrate-on {calibrate_on}: expected validation")
    if head_from < tail_below:
        raise ArgumentError(f"--head-from {head_from} is less than --tail-below {tail_below}")
    if target_fpr is not None and not 0 < target_fpr < 1:
        raise ArgumentError(f"--target-fpr {target_fpr}: expected a rate between 0 and 1")
    settings = EvaluationSettings(
        label_column=label_column,
        calibrate_on=None if calibrate_on is None else Split(calibrate_on),
        target_fpr=target_fpr,
        min_positives=min_positives,
        store=store,
        head_from=head_from,
        tail_below=tail_below,
        bootstrap=BootstrapSettings(resamples=resamples, seed=seed),
        resample=resample,
        official=official,
        prediction=PredictionSettings(batch_slices, num_workers, overwrite),
    )
    datasets.disable_progress_bars()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what it would warn of, load_model refuses
    names = None if labels is None else read_label_file(labels).names
    state = join_processes(device)
    with step_progress(quiet=not state.is_main_process) as report:
        report(f"Loading {model}", 0, 0)
        loaded = load_model(
            model,
            labels=names,
            device=str(state.device) if state.num_processes > 1 else device,
            dtype=torch.bfloat16 if dtype is Precision.BF16 else torch.float32,
            revision=revision,
            encoder_chunk_size=chunk_size,
        )
        evaluation = evaluate_model(loaded, dataset, split, output, settings, report)
        if evaluation is not None and with_report:
            report("Writing the report", 0, 0)
            write_evaluation_report(evaluation, output)
    state.destroy_process_group()
    if evaluation is not None:
        _print(evaluation.to_dict(), output, as_json)


def _print(content: dict[str, Any], output: Path, as_json: bool) -> None:
    if as_json:
        summary = {name: value for name, value in content.items() if name not in SUMMARY_WITHOUT}
        summary["metrics_file"] = str(output / "metrics.json")
        typer.echo(json.dumps(summary, ensure_ascii=False, allow_nan=False))
        return
    from raddiag_hf.cli.evaluation_table import below, render_model, render_normal_cases
    from raddiag_hf.evaluation.evaluation_folder import evaluated_model, table_notes

    console = Console()
    console.print(render_model(evaluated_model(content)))
    if content["breakdown"]["normal_abnormal"]:
        console.print(render_normal_cases(content["breakdown"]))
    console.print(below([*table_notes(content), f"Written to {output}."], content["warnings"]))


def _compare(
    evaluations: list[Path],
    output: Path | None,
    resamples: int,
    resample: ResampledUnit,
    seed: int,
    as_json: bool,
) -> None:
    if resamples == 0:
        raise ArgumentError("--resamples 0: a comparison needs resamples")
    if output is not None:
        check_output_folder(output)
    from raddiag_hf.cli.evaluation_table import below, render_comparison
    from raddiag_hf.evaluation.compare_evaluations import compare_evaluations
    from raddiag_hf.metrics import BootstrapSettings

    with step_progress() as report:
        report("Comparing", 0, 0)
        comparison = compare_evaluations(
            evaluations,
            output=output,
            bootstrap=BootstrapSettings(resamples=resamples, seed=seed),
            resample=resample,
        )
    content = comparison.to_dict()
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, allow_nan=False))
        return
    console = Console()
    console.print(render_comparison(comparison.models, content["paired"]))
    reasons = [f"{name}: no difference, {why}." for name, why in comparison.not_paired.items()]
    console.print(below(comparison.notes, reasons))
