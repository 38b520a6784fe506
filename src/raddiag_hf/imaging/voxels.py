"""The last step of the readers without tags: finite voxels and their provenance."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from raddiag_hf.imaging.decisions import Decision, DecisionKind, decision
from raddiag_hf.imaging.intensity import fill_nan_padding
from raddiag_hf.imaging.scan import Scan, ScanReadError, ScanReadReason, file_scan_id
from raddiag_hf.vocabulary import Plane

UNKNOWN_SPACING = (float("nan"), float("nan"), float("nan"))


def all_finite(
    path: Path, volume: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[Decision]]:
    """Return the volume with NaN padding filled, and the record of it.

    Raises:
        ScanReadError: ``BAD_VALUES`` if values within the image are NaN or infinite.
    """
    try:
        volume, num_filled = fill_nan_padding(volume)
    except ValueError as error:
        raise ScanReadError(path, ScanReadReason.BAD_VALUES, str(error)) from None
    if num_filled:
        return volume, [decision(DecisionKind.NAN_PADDING_FILLED, num_voxels=num_filled)]
    return volume, []


def finite_scan(
    path: Path,
    file_format: str,
    volume: NDArray[np.float32],
    *,
    decisions: tuple[Decision, ...] = (),
    plane: Plane = Plane.UNKNOWN,
    spacing_mm: tuple[float, float, float] = UNKNOWN_SPACING,
    is_picture: bool = False,
) -> Scan:
    """Return the scan of a file that carries neither modality nor anatomy.

    Raises:
        ScanReadError: ``BAD_VALUES`` if values within the image are NaN or infinite.
    """
    volume, filled = all_finite(path, volume)
    return Scan(
        volume=volume,
        modality=None,
        plane=plane,
        spacing_mm=spacing_mm,
        is_picture=is_picture,
        provenance={
            "path": str(path),
            "format": file_format,
            "num_files": 1,
            "decisions": [*decisions, *filled],
        },
        scan_id=file_scan_id(path),
    )
