"""The scans of the one case that a command line names, under ids that name nobody."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console

from raddiag_hf.cli.scan_arguments import ArgumentError, ScanArgument

if TYPE_CHECKING:
    from rich.status import Status

    from raddiag_hf.imaging.reading import Rejected
    from raddiag_hf.imaging.scan import Scan
    from raddiag_hf.vocabulary import Anatomy


def read_case(
    arguments: Sequence[ScanArgument], anatomy: "Anatomy | None", progress: Console
) -> tuple[list["Scan"], list["Rejected"]]:
    """Return the scans of the case, and the files that are none; list these on ``progress``.

    Raises:
        ScanReadError: If one of the paths holds no scan at all.
        ArgumentError: If nothing says what made one of the scans.
    """
    with progress.status("Reading scans") as status:
        case, rejected = _read(arguments, anatomy, status)
    for rejection in rejected:
        line = f"left out: {rejection.path}: {rejection.reason}: {rejection.found}"
        progress.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
    return case, rejected


def summarize_rejected(rejected: Sequence["Rejected"]) -> list[str]:
    """Return one warning about all files left out, without paths: they may name a patient."""
    if not rejected:
        return []
    reasons = Counter(rejection.reason.value.replace("_", " ") for rejection in rejected)
    counted = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
    noun = "file was" if len(rejected) == 1 else "files were"
    return [f"{len(rejected)} {noun} left out: {counted}."]


def _read(
    arguments: Sequence[ScanArgument], anatomy: "Anatomy | None", status: "Status"
) -> tuple[list["Scan"], list["Rejected"]]:
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
            and _lies_like(scan, other)
            for other in kept
        ):
            where = scan.provenance.get("path")
            sys.stderr.write(f"named twice, read once: {where}\n")
        else:
            kept.append(scan)
    return kept


def _lies_like(scan: "Scan", other: "Scan") -> bool:
    """Say whether equal voxels are of equal size and, where both files tell, in one place."""
    import numpy as np

    from raddiag_hf.inference.explain.grid import source_grid

    one, two = source_grid(scan), source_grid(other)
    if one.space_code > 0 and two.space_code > 0:
        return np.allclose(one.affine, two.affine)
    return np.allclose(scan.spacing_mm, other.spacing_mm, equal_nan=True)
