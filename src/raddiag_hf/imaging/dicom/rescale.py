"""Rescale: slices that lost theirs get what all others of their volume have, or are left out."""

from collections.abc import Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from raddiag_hf.imaging.dicom.header import DicomFrame
from raddiag_hf.imaging.scan import (
    Decision,
    DecisionKind,
    ScanReadError,
    ScanReadReason,
    decision,
)

_KEYWORDS = ("RescaleSlope", "RescaleIntercept")


def with_common_rescale(
    frames: Sequence[DicomFrame],
) -> tuple[list[DicomFrame], list[ScanReadError | None], list[Decision]]:
    """Give frames without slope or intercept the one that all other frames of the volume share.

    Where no frame has one, stored values are what they are, and nothing happens.

    Args:
        frames: Of one volume.

    Returns:
        The frames; for each None, or why nobody can know what its values mean: others have several
        slopes, as in PET; and what was decided.
    """
    mended = list(frames)
    lost: list[ScanReadError | None] = [None] * len(frames)
    changed: set[int] = set()
    for keyword in _KEYWORDS:
        lacking = [index for index, one in enumerate(mended) if _lacks(one.values, keyword)]
        found = {float(one.values[keyword].value) for one in mended if keyword in one.values}
        if not found or not lacking:
            continue
        for index in lacking:
            if len(found) > 1:
                lost[index] = ScanReadError(
                    mended[index].file.path,
                    ScanReadReason.INCONSISTENT_SERIES,
                    f"no {keyword} that can be used, where other slices have {len(found)}",
                )
                continue
            values = Dataset()
            values.update(mended[index].values)
            values.set_original_encoding(*mended[index].values.original_encoding)
            setattr(values, keyword, found.copy().pop())
            mended[index] = replace(mended[index], values=values)
            changed.add(index)
    decisions = []
    if changed:
        decisions.append(decision(DecisionKind.RESCALE_FILLED_IN, num_slices=len(changed)))
    return mended, lost, decisions


def _lacks(values: Dataset, keyword: str) -> bool:
    return keyword not in values and not values.get("ModalityLUTSequence")
