"""The scans that a command line names: paths, and paths with their modality."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raddiag_hf.cli.console import ArgumentError
from raddiag_hf.vocabulary import Anatomy, Modality


@dataclass(frozen=True)
class ScanArgument:
    """One path of a command line.

    Attributes:
        path: A file or folder.
        modality: What made it, where the caller says.
    """

    path: Path
    modality: Modality | None = None


def parse_scan_arguments(paths: Sequence[Path], named: Sequence[str]) -> list[ScanArgument]:
    """Return what ``SCAN...`` and ``--scan MODALITY=PATH`` name, in that order.

    Raises:
        ArgumentError: If there is none, or one of ``named`` is not a known modality, an equals
            sign and a path.
    """
    arguments = [ScanArgument(path) for path in paths]
    for text in named:
        modality, separator, path = text.partition("=")
        if not separator or not path:
            raise ArgumentError(f"--scan {text}: expected MODALITY=PATH, as in ct=chest.nii.gz")
        try:
            arguments.append(ScanArgument(Path(path), Modality.parse(modality)))
        except ValueError as error:
            raise ArgumentError(f"--scan {text}: {error}") from None
    if not arguments:
        raise ArgumentError("no scan was named: give files or folders, or --scan ct=PATH")
    return arguments


def parse_anatomy(text: str | None) -> Anatomy | None:
    """Return the region that ``--anatomy`` names; None where it was not given.

    Raises:
        ArgumentError: If there is no such region.
    """
    if text is None:
        return None
    try:
        return Anatomy.parse(text)
    except ValueError as error:
        raise ArgumentError(f"--anatomy: {error}") from None
