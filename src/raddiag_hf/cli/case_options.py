"""Options that verbs share: of one case, of a case data set, and of the model that reads them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Precision(StrEnum):
    """What the encoder computes in."""

    FLOAT32 = "float32"
    BF16 = "bf16"


ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="ID",
        help="Folder or Hub id of a RadDiag model, or of the authors' repository, which is "
        "converted once. ID:FOLDER names a folder in it.",
    ),
]
LocationArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Folder, Hub id or builder of a case data set.",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="For builders: what was downloaded from the publisher."),
]
ScansArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="SCAN",
        help="Files and folders of one case: DICOM (a study folder gives all its series), "
        "NIfTI, PNG, JPEG, NPY.",
        show_default=False,
    ),
]
ScanOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scan",
        metavar="MODALITY=PATH",
        help="A scan whose file does not say what made it: ct=chest.nii.gz. Repeatable.",
    ),
]
AnatomyOption = Annotated[
    str | None, typer.Option(metavar="REGION", help="The region that the scans show.")
]
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
RevisionOption = Annotated[
    str | None, typer.Option(metavar="REV", help="Branch, tag or commit on the Hub.")
]
SubfolderOption = Annotated[str, typer.Option(metavar="FOLDER", help="The same as ID:FOLDER.")]
