"""Options of the model that verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.checkpoints.model_choice import Precision as Precision

LabelsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Label names of the authors' checkpoint, where its repository has none: JSON name "
        "-> column, a JSON list, or one name per line.",
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="cuda, cuda:N, mps or cpu; by default the fastest."),
]
PrecisionOption = Annotated[
    Precision, typer.Option(help="bf16 is faster where the hardware has it.")
]
ChunkSizeOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Slices encoded at once; fewer need less memory."),
]
