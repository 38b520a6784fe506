"""`raddiag diagnose`: scans of one case in, ranked findings out."""

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from raddiag_hf.cli.diagnosis_table import render_diagnosis
from raddiag_hf.cli.scan_arguments import (
    ArgumentError,
    ScanArgument,
    parse_anatomy,
    parse_scan_arguments,
)

if TYPE_CHECKING:
    from rich.status import Status

    from raddiag_hf.imaging.reading import Rejected
    from raddiag_hf.imaging.scan import Scan
    from raddiag_hf.vocabulary import Anatomy

EXAMPLES = """
**Examples**

`raddiag diagnose study/ --model QiaoyuZheng/RP3D-DiagModel --labels disorder_label_dict.json`

`raddiag diagnose knee.dcm --scan mri=knee.nii.gz --scan xray=knee.png --model ./model -o out`

`raddiag diagnose study/ --model ./model --json | jq '.findings[0]'`
"""


class Precision(StrEnum):
    """What the encoder computes in."""

    FLOAT32 = "float32"
    BF16 = "bf16"


def diagnose(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="ID",
            help="Folder or Hub id of a RadDiag model, or of the authors' repository, which is "
            "converted once. ID:FOLDER names a folder in it.",
        ),
    ],
    scans: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SCAN",
            help="Files and folders of one case: DICOM (a study folder gives all its series), "
            "NIfTI, PNG, JPEG, NPY.",
            show_default=False,
        ),
    ] = None,
    scan: Annotated[
        list[str] | None,
        typer.Option(
            "--scan",
            metavar="MODALITY=PATH",
            help="A scan whose file does not say what made it: ct=chest.nii.gz. Repeatable.",
        ),
    ] = None,
    anatomy: Annotated[
        str | None, typer.Option(metavar="REGION", help="The region that the scans show.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Label names of the authors' checkpoint, where its repository has none: JSON name "
            "-> column, a JSON list, or one name per line.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write diagnosis.json and report.html there."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the diagnosis as JSON, and nothing else.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="How many findings to show.")] = 10,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cuda, cuda:N, mps or cpu; by default the fastest."),
    ] = None,
    dtype: Annotated[
        Precision, typer.Option(help="bf16 is faster where the hardware has it.")
    ] = Precision.FLOAT32,
    chunk_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Slices encoded at once; fewer need less memory."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit on the Hub.")
    ] = None,
    subfolder: Annotated[str, typer.Option(metavar="FOLDER", help="The same as ID:FOLDER.")] = "",
) -> None:
    """Diagnose one case from all its scans: X-ray, CT, MRI and more, 2D and 3D together."""
    arguments = parse_scan_arguments(scans or (), scan or ())
    region = parse_anatomy(anatomy)
    if output is not None:
        _check_output(output)

    import torch
    from transformers.utils import logging as transformers_logging

    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.inference.diagnose import diagnose_case
    from raddiag_hf.inference.loading import choose_device, load_model
    from raddiag_hf.inference.report.case_files import write_case_files

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what it would warn of, load_model refuses
    progress = Console(stderr=True)
    choose_device(device)  # refused before anything is read
    names = None if labels is None else read_label_file(labels).names
    with progress.status("Reading scans") as status:
        case, rejected = _read_case(arguments, region, status)
    for rejection in rejected:
        line = f"left out: {rejection.path}: {rejection.reason}: {rejection.found}"
        progress.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
    if progress.is_terminal:  # no spinner here: a download draws a bar of its own
        progress.print(f"Loading {model}", style="dim", markup=False, highlight=False)
    loaded = load_model(
        model,
        labels=names,
        subfolder=subfolder,
        device=device,
        dtype=torch.bfloat16 if dtype is Precision.BF16 else torch.float32,
        revision=revision,
        encoder_chunk_size=chunk_size,
    )
    with progress.status("Diagnosing"):
        diagnosis = diagnose_case(
            loaded.model,
            loaded.processor,
            case,
            top=top,
            model_id=loaded.model_id,
            model_revision=loaded.revision,
            warnings=_summarize(rejected),
        )
    if output is not None:
        report = write_case_files(output, diagnosis, case)
        progress.print(f"Report: {report}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(diagnosis.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        Console().print(render_diagnosis(diagnosis))


def _check_output(output: Path) -> None:
    """Refuse a folder that cannot be made before the work is done rather than after."""
    existing = output
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise ArgumentError(f"--output {output}: {existing} is a file, expected a folder")
    if not os.access(existing, os.W_OK):
        raise ArgumentError(f"--output {output}: {existing} cannot be written")


def _read_case(
    arguments: Sequence[ScanArgument], anatomy: "Anatomy | None", status: "Status"
) -> tuple[list["Scan"], list["Rejected"]]:
    """Return the scans of the case, and the files that are none.

    Raises:
        ScanReadError: If one of the paths holds no scan at all.
        ArgumentError: If nothing says what made one of the scans.
    """
    from raddiag_hf.imaging.reading import read_scans, with_unique_ids

    case: list[Scan] = []
    rejected: list[Rejected] = []
    for argument in arguments:
        reading = read_scans(
            argument.path,
            modality=argument.modality,
            anatomy=anatomy,
            progress=lambda done, total: status.update(f"Reading scans: file {done} of {total}"),
        )
        for scan in reading.scans:
            if scan.modality is None:
                raise ArgumentError(
                    f"{argument.path}: nothing in it says what made {scan.scan_id}; name it, as in "
                    f"--scan ct={argument.path}"
                )
        case += reading.scans
        rejected += reading.rejected
    return with_unique_ids([_with_neutral_id(scan) for scan in _without_repeats(case)]), rejected


def _with_neutral_id(scan: "Scan") -> "Scan":
    """Call a scan that has its file's name by what made it: a file's name may name a patient."""
    if scan.provenance.get("format") == "dicom":  # a digest already
        return scan
    return replace(scan, scan_id=str(scan.modality))


def _without_repeats(case: Sequence["Scan"]) -> list["Scan"]:
    """Drop scans that were named twice, as a file and in its folder; say so."""
    kept: list[Scan] = []
    for scan in case:
        if any(
            scan.modality == other.modality
            and scan.volume.shape == other.volume.shape
            and (scan.volume == other.volume).all()
            for other in kept
        ):
            where = scan.provenance.get("path")
            sys.stderr.write(f"named twice, read once: {where}\n")
        else:
            kept.append(scan)
    return kept


def _summarize(rejected: Sequence["Rejected"]) -> list[str]:
    """Return one warning about all files left out, without paths: they may name a patient."""
    if not rejected:
        return []
    reasons = Counter(rejection.reason.value.replace("_", " ") for rejection in rejected)
    counted = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    noun = "file was" if len(rejected) == 1 else "files were"
    return [f"{len(rejected)} {noun} left out: {counted}."]
