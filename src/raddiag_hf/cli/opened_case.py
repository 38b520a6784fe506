"""A case and the model that is to read it: what every verb about one case begins with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from raddiag_hf.cli.case_options import Precision
from raddiag_hf.cli.case_reading import read_case, summarize_rejected
from raddiag_hf.cli.scan_arguments import ScanArgument

if TYPE_CHECKING:
    from raddiag_hf.checkpoints.loading import LoadedModel
    from raddiag_hf.imaging.scan import Scan
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
    """A case and its model.

    Attributes:
        scans: Of one case.
        loaded: The model.
        warnings: About files that were left out.
    """

    scans: "list[Scan]"
    loaded: "LoadedModel"
    warnings: list[str]


def open_case(
    arguments: Sequence[ScanArgument],
    anatomy: "Anatomy | None",
    choice: ModelChoice,
    progress: Console,
) -> OpenedCase:
    """Read the scans and load the model; what can be refused early is refused first.

    Raises:
        ScanReadError: If one of the paths holds no scan at all.
        ArgumentError: If nothing says what made one of the scans.
        ValueError: As `load_model` and `read_label_file` do.
    """
    import torch
    from transformers.utils import logging as transformers_logging

    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.checkpoints.loading import choose_device, load_model

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what it would warn of, load_model refuses
    choose_device(choice.device)
    labels = None if choice.labels is None else read_label_file(choice.labels).names
    scans, rejected = read_case(arguments, anatomy, progress)
    if progress.is_terminal:  # no spinner here: a download draws a bar of its own
        progress.print(f"Loading {choice.model}", style="dim", markup=False, highlight=False)
    loaded = load_model(
        choice.model,
        labels=labels,
        subfolder=choice.subfolder,
        device=choice.device,
        dtype=torch.bfloat16 if choice.dtype is Precision.BF16 else torch.float32,
        revision=choice.revision,
        encoder_chunk_size=choice.chunk_size,
    )
    return OpenedCase(scans, loaded, summarize_rejected(rejected))
