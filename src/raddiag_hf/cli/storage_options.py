"""How scans are stored: the options of every command that writes a data set."""

from typing import Annotated, Literal

import typer

BitsOption = Annotated[
    Literal[8, 16],
    typer.Option(help="Of a voxel: 16 keep whole Hounsfield units, 8 take half the space."),
]
MaxSideOption = Annotated[
    int | None,
    typer.Option(min=1, metavar="PIXELS", help="Shrink larger slices; 256 suits the model."),
]
MaxSlicesOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Keep so many slices of a scan.")
]
