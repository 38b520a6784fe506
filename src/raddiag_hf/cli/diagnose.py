"""`raddiag diagnose`: scans of one case in, ranked findings out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from raddiag_hf.cli.case_options import (
    AnatomyOption,
    ChunkSizeOption,
    DeviceOption,
    LabelsOption,
    ModelOption,
    Precision,
    PrecisionOption,
    RevisionOption,
    ScanOption,
    ScansArgument,
    SubfolderOption,
)
from raddiag_hf.cli.console import ArgumentError, check_output_folder
from raddiag_hf.cli.opened_case import ModelChoice, OpenedCase, explain_opened, open_case
from raddiag_hf.cli.scan_arguments import parse_anatomy, parse_scan_arguments

if TYPE_CHECKING:
    from raddiag_hf.inference.diagnosis import Diagnosis

EXAMPLES = """
**Examples**

`raddiag diagnose study/ --model QiaoyuZheng/RP3D-DiagModel --labels disorder_label_dict.json`

`raddiag diagnose knee.dcm --scan mri=knee.nii.gz --scan xray=knee.png --model ./model -o out`

`raddiag diagnose study/ --model ./model --output out --explain`

`raddiag diagnose study/ --model ./model --json | jq '.findings[0]'`
"""


def diagnose(
    model: ModelOption,
    scans: ScansArgument = None,
    scan: ScanOption = None,
    anatomy: AnatomyOption = None,
    labels: LabelsOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write diagnosis.json and report.html there."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Also show where the leading finding comes from, in the report and in overlays/. "
            "Takes as long as some 30 diagnoses.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the diagnosis as JSON, and nothing else.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="How many findings to show.")] = 10,
    device: DeviceOption = None,
    dtype: PrecisionOption = Precision.FLOAT32,
    chunk_size: ChunkSizeOption = None,
    revision: RevisionOption = None,
    subfolder: SubfolderOption = "",
) -> None:
    """Diagnose one case from all its scans: X-ray, CT, MRI and more, 2D and 3D together."""
    arguments = parse_scan_arguments(scans or (), scan or ())
    region = parse_anatomy(anatomy)
    if output is not None:
        check_output_folder(output)
    elif explain:
        raise ArgumentError("--explain writes pictures: name a folder for them with --output")

    from raddiag_hf.cli.diagnosis_table import render_diagnosis
    from raddiag_hf.inference.diagnose import diagnose_case

    console = Console(stderr=True)
    choice = ModelChoice(model, labels, subfolder, device, dtype, revision, chunk_size)
    opened = open_case(arguments, region, choice, console)
    with console.status("Diagnosing"):
        diagnosis = diagnose_case(
            opened.loaded.model,
            opened.loaded.processor,
            opened.case,
            top=top,
            model_id=opened.loaded.model_id,
            model_revision=opened.loaded.revision,
        )
    if output is not None:
        _write(output, opened, diagnosis, explain, console)
    if as_json:
        typer.echo(json.dumps(diagnosis.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        Console().print(render_diagnosis(diagnosis))


def _write(
    output: Path, opened: OpenedCase, diagnosis: "Diagnosis", explain: bool, console: Console
) -> None:
    """Write the report, and what explains its leading finding where that is wanted.

    An earlier explanation in the folder is removed: it belongs to an earlier diagnosis.
    """
    from raddiag_hf.inference.case_files import (
        remove_explanation_files,
        write_case_files,
        write_explanation_files,
    )
    from raddiag_hf.inference.explain.saliency import ScoreCamSettings

    explanation = None
    if explain:
        leading = diagnosis.findings[0].label
        explanation = explain_opened(opened, leading, ScoreCamSettings())
        write_explanation_files(output, explanation, opened.case.scans)
    else:
        remove_explanation_files(output)
    report = write_case_files(output, diagnosis, opened.case.scans, explanation)
    console.print(f"Report: {report}", markup=False, highlight=False, soft_wrap=True)
