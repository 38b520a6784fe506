"""`raddiag evaluate`: a model and a data set in, every metric with its interval out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from raddiag_hf.checkpoints.model_choice import ModelChoice
from raddiag_hf.cli.console import (
    ArgumentError,
    SafeConsole,
    check_output_folder,
    quiet_libraries,
    step_progress,
)
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.plain_text import printable_json
from raddiag_hf.evaluation.evaluation_settings import EvaluationSettings

EXAMPLES = """
Thresholds, which F1 and MCC need, are those stored with the model. `--calibrate-on validation`
chooses them, and a temperature, on the validation cases of the same data set, `--store` keeps them
in the model's folder. They are never chosen on the cases that are evaluated.

An evaluation that was interrupted is resumed by the same command. Several processes share the
cases: start them with `accelerate launch` or `torchrun`. `raddiag compare` puts evaluations side by
side.

**Examples**

`raddiag evaluate --model ./model --dataset cases --split test --output out`

`raddiag evaluate -m ./model -d cases -o out --calibrate-on validation --store`

`accelerate launch --num_processes 4 -m raddiag_hf.cli.main evaluate -m ./model -d cases -o out`
"""

SUMMARY_WITHOUT = ("classes", "chapters", "roc", "reliability", "breakdown")
"""What `metrics.json` holds and standard output does not: too long to be read there."""


def _name_compare(is_asked: bool) -> None:
    if is_asked:
        raise ArgumentError(
            "--compare: evaluations are compared by raddiag compare METRICS... --output DIR"
        )


@with_options
def evaluate(
    *,
    model: ModelChoice,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", "-d", metavar="DATASET", help="Folder or Hub id of a case data set."
        ),
    ],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Write report.html, figures, metrics.json, tables and predictions there.",
        ),
    ],
    settings: EvaluationSettings,
    with_report: Annotated[
        bool, typer.Option("--report/--no-report", help="Draw figures and write report.html.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a summary as JSON, and nothing else.")
    ] = False,
    compare: Annotated[
        bool, typer.Option("--compare", hidden=True, is_eager=True, callback=_name_compare)
    ] = False,
) -> None:
    """Evaluate a model: every metric per class and per group, with its interval."""
    check_output_folder(output)

    from raddiag_hf.evaluation.evaluation_run import evaluate_model
    from raddiag_hf.evaluation.predict_cases import join_processes
    from raddiag_hf.evaluation.report.evaluation_report import write_evaluation_report

    quiet_libraries(with_datasets=True)
    model.label_names()  # refused before processes join
    state = join_processes(model.device)
    with step_progress(quiet=not state.is_main_process) as progress:
        progress(f"Loading {model.model}", 0, 0)
        loaded = model.load(str(state.device) if state.num_processes > 1 else None)
        evaluation = evaluate_model(loaded, dataset, split, output, settings, progress)
        if evaluation is not None and with_report:
            progress("Writing the report", 0, 0)
            write_evaluation_report(evaluation, output)
    state.destroy_process_group()
    if evaluation is not None:
        _print(evaluation.to_dict(), output, as_json)


def _print(content: dict[str, Any], output: Path, as_json: bool) -> None:
    if as_json:
        summary = {name: value for name, value in content.items() if name not in SUMMARY_WITHOUT}
        summary["metrics_file"] = str(output / "metrics.json")
        typer.echo(printable_json(summary))
        return
    from raddiag_hf.cli.evaluation_table import below, render_model, render_normal_cases
    from raddiag_hf.evaluation.evaluation_folder import evaluated_model, table_notes

    console = SafeConsole()
    console.print(render_model(evaluated_model(content)))
    if content["breakdown"]["normal_abnormal"]:
        console.print(render_normal_cases(content["breakdown"]))
    console.print(below([*table_notes(content), f"Written to {output}."], content["warnings"]))
