"""Opened case: the scans and the model that every verb about one case begins with."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from raddiag_hf.cli.case_options import Precision
from raddiag_hf.cli.console import quiet_libraries, step_progress
from raddiag_hf.cli.scan_arguments import ScanArgument

if TYPE_CHECKING:
    from raddiag_hf.checkpoints.loading import LoadedModel
    from raddiag_hf.inference.case import CaseReading
    from raddiag_hf.inference.explain.explanation import Explanation
    from raddiag_hf.inference.explain.saliency import ScoreCamSettings
    from raddiag_hf.vocabulary import Anatomy


@dataclass(frozen=True)
class ModelChoice:
    """The model that the options of a command line name; `load_model` says what they mean."""

    model: str
    labels: Path | None
    subfolder: str
    device: str | None
    dtype: Precision
    revision: str | None
    chunk_size: int | None


@dataclass(frozen=True, eq=False)
class OpenedCase:
    """A case and the model that is to read it."""

    case: "CaseReading"
    loaded: "LoadedModel"


def open_case(
    arguments: Sequence[ScanArgument],
    anatomy: "Anatomy | None",
    choice: ModelChoice,
    console: Console,
) -> OpenedCase:
    """Read the scans and load the model; what can be refused early is refused first.

    Raises:
        ScanReadError: If one of the paths holds no scan at all.
        CaseError: As `read_case` does.
        ValueError: As `load_model` and `read_label_file` do.
    """
    import torch

    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.checkpoints.loading import choose_device, load_model
    from raddiag_hf.inference.case import read_case

    quiet_libraries()
    choose_device(choice.device)
    labels = None if choice.labels is None else read_label_file(choice.labels).names
    with step_progress(transient=True) as progress:
        case = read_case(
            [argument.path for argument in arguments],
            [argument.modality for argument in arguments],
            anatomy=anatomy,
            progress=progress,
        )
    for rejected in case.rejected:
        line = f"left out: {rejected.path}: {rejected.reason}: {rejected.found}"
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
    for path in case.repeated:
        sys.stderr.write(f"named twice, read once: {path}\n")
    if console.is_terminal:  # no spinner here: a download draws a bar of its own
        console.print(f"Loading {choice.model}", style="dim", markup=False, highlight=False)
    loaded = load_model(
        choice.model,
        labels=labels,
        subfolder=choice.subfolder,
        device=choice.device,
        dtype=torch.bfloat16 if choice.dtype is Precision.BF16 else torch.float32,
        revision=choice.revision,
        encoder_chunk_size=choice.chunk_size,
    )
    return OpenedCase(case, loaded)


def explain_opened(
    opened: OpenedCase, label: str | None, settings: "ScoreCamSettings"
) -> "Explanation":
    """Explain a label, or the most probable one, with a bar for each scan; see `explain_case`."""
    from raddiag_hf.inference.explain.explanation import explain_case

    with step_progress(transient=True) as progress:
        return explain_case(
            opened.loaded.model,
            opened.loaded.processor,
            opened.case,
            label=label,
            settings=settings,
            model_id=opened.loaded.model_id,
            model_revision=opened.loaded.revision,
            progress=progress,
        )
