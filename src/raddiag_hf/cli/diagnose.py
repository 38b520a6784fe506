"""`raddiag diagnose`: scans of one case in, ranked findings out."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.checkpoints.model_choice import ModelChoice
from raddiag_hf.cli.case import CaseArguments, open_case
from raddiag_hf.cli.console import ArgumentError, SafeConsole, check_output_folder, say
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.plain_text import printable_json

EXAMPLES = """
**Examples**

`raddiag diagnose study/ --model QiaoyuZheng/RP3D-DiagModel --labels disorder_label_dict.json`

`raddiag diagnose knee.dcm --scan mri=knee.nii.gz --scan xray=knee.png --model ./model -o out`

`raddiag diagnose study/ --model ./model --output out --explain`

`raddiag diagnose study/ --model ./model --json | jq '.findings[0]'`
"""


@with_options
def diagnose(
    case: CaseArguments,
    model: ModelChoice,
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
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse scans of a modality or region that the model never saw in training.",
        ),
    ] = False,
) -> None:
    """Diagnose one case from all its scans: X-ray, CT, MRI and more, 2D and 3D together."""
    if output is not None:
        check_output_folder(output)
    elif explain:
        raise ArgumentError("--explain writes pictures: name a folder for them with --output")

    from raddiag_hf.cli.diagnosis_table import render_diagnosis
    from raddiag_hf.inference.case_files import write_case_files
    from raddiag_hf.inference.diagnose import diagnose_case
    from raddiag_hf.inference.explain.saliency import ScoreCamSettings

    opened = open_case(case, model)
    with SafeConsole(stderr=True).status("Diagnosing"):
        diagnosis = diagnose_case(
            opened.loaded.model,
            opened.loaded.processor,
            opened.case,
            top=top,
            model_id=opened.loaded.model_id,
            model_revision=opened.loaded.revision,
            domain=opened.loaded.domain,
            strict=strict,
        )
    if output is not None:
        leading = diagnosis.findings[0].label
        explanation = opened.explain(leading, ScoreCamSettings()) if explain else None
        report = write_case_files(output, diagnosis, opened.case.scans, explanation)
        say(f"Report: {report}")
    if as_json:
        if diagnosis.domain is not None:  # nobody reads the JSON of a pipe
            say(*(f"before trusting this: {alarm}" for alarm in diagnosis.domain.warnings))
        typer.echo(printable_json(diagnosis.to_dict()))
    else:
        SafeConsole().print(render_diagnosis(diagnosis))
