"""`raddiag convert-checkpoint`: the authors' weights in, a model folder out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, check_writable, quiet_libraries, say

if TYPE_CHECKING:
    from torch import Tensor

    from raddiag_hf.labels.label_embeddings import LabelEmbeddings

EXAMPLES = """
**Example**

`raddiag convert-checkpoint pytorch_model.bin --labels disorder_label_dict.json --output model/`
"""


class LateFusion(StrEnum):
    """How predictions of single scans are pooled."""

    MAX = "max"
    MEAN = "mean"
    RANDOM = "random"


def convert_checkpoint(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="pytorch_model.bin (unpickled as tensors only) or safetensors.", show_default=False
        ),
    ],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Label names: JSON name -> column, a JSON list, or one name per line.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A folder that is new or empty."),
    ],
    label_embeddings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Label texts of a knowledge-enhanced checkpoint: what `raddiag knowledge embed` "
            "wrote, or an NPY array (labels, width).",
        ),
    ] = None,
    late_fusion: Annotated[
        LateFusion,
        typer.Option(help="How a checkpoint without fusion module pools its scans."),
    ] = LateFusion.MAX,
    image_size: Annotated[
        int, typer.Option(min=1, metavar="PIXELS", help="Slice size it was trained with.")
    ] = 256,
) -> None:
    """Convert a checkpoint of the authors into a folder that `from_pretrained` reads."""
    from rich.markup import escape

    from raddiag_hf.checkpoints.convert import CheckpointError
    from raddiag_hf.checkpoints.convert import convert_checkpoint as convert
    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.cli.console import SafeConsole

    quiet_libraries()
    if (folder := output.resolve().parent).is_dir():
        check_writable(folder, f"--output {output}")
    names = read_label_file(labels).names
    embeddings = None if label_embeddings is None else _read_embeddings(label_embeddings)
    with SafeConsole(stderr=True).status(f"Converting {escape(str(checkpoint))}"):
        try:
            convert(
                checkpoint,
                names,
                output,
                label_embeddings=embeddings,
                late_fusion=late_fusion.value,
                image_size=image_size,
            )
        except CheckpointError as error:
            raise CheckpointError(f"{checkpoint}: {error}") from None
    say(f"Model: {output}")


def _read_embeddings(path: Path) -> "LabelEmbeddings | Tensor":
    import numpy as np
    import torch

    from raddiag_hf.labels.label_embeddings import LabelEmbeddings

    if path.suffix.lower() == ".safetensors":
        return LabelEmbeddings.load(path)
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArgumentError(f"{path}: not an array of numbers: {error}") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise ArgumentError(f"{path}: expected one array of floats")
    return torch.from_numpy(array)
