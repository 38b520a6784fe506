"""Settings of reading: what to do where a file leaves a choice."""

from dataclasses import dataclass
from typing import Annotated, Literal

from raddiag_hf.core.settings import Setting, check_settings

PaddingRule = Literal["lowest", "stored"]
CtRange = Literal["full", "window"]
NpyDepth = Literal["auto", "first", "last"]


@dataclass(frozen=True)
class ReadSettings:
    """What to do where a file leaves a choice; every choice is recorded with the scan.

    Attributes:
        padding: What the pixels become that DICOM calls padding, around a field of view: the lowest
            value that the scan shows, or what is stored there, as the reference reads it.
        ct_range: Of CT keep the full range, or what its file's own display window shows.
        npy_depth: Which axis of an NPY volume is its depth. By itself (auto) the first, where it is
            the shortest by half or the two others are equal; else the last, as in RP3D-DiagDS.

    Raises:
        InputError: If there is no such choice.
    """

    padding: PaddingRule = "lowest"
    ct_range: CtRange = "full"
    npy_depth: Annotated[NpyDepth, Setting("--npy-depth")] = "auto"

    def __post_init__(self) -> None:
        check_settings(self)


DEFAULT_READING = ReadSettings()
"""Padding as the lowest value, CT in its full range."""
