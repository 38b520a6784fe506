"""The micro-batch that takes most memory: which memory plans are made for."""

import numpy as np

from raddiag_hf.data.batches.case_augmentation import UNKNOWN_ANATOMY, CaseAugmentation
from raddiag_hf.data.store.case_metadata import CaseMetadata


def heaviest_batch(
    metadata: CaseMetadata,
    num_cases: int,
    max_slices: int,
    *,
    grey_picture_slices: int = 1,
    augmentation: CaseAugmentation | None = None,
) -> list[int]:
    """Return the encoded slices of each scan of the cases that have most.

    Args:
        metadata: Of the training cases.
        num_cases: Cases of a micro-batch.
        max_slices: The image processor's.
        grey_picture_slices: The image processor's.
        augmentation: Where it mixes, a case counts with the heaviest cases that it can be mixed
            with, each of another known anatomy.
    """
    depths = metadata.scan_depths
    slices = np.where(depths == 1, grey_picture_slices, np.minimum(depths, max_slices))
    starts = np.searchsorted(metadata.scan_cases, np.arange(1, len(metadata)))
    scans = np.split(slices, starts)
    work = np.array([one.sum() for one in scans])
    num_partners = 0
    if augmentation is not None and augmentation.mixing_probability:
        num_partners = augmentation.max_mixed_cases - 1
    of_anatomy = [
        int(rows[work[rows].argmax()])
        for anatomy in np.unique(metadata.anatomies)
        if anatomy != UNKNOWN_ANATOMY
        for rows in [np.flatnonzero(metadata.anatomies == anatomy)]
    ]
    of_anatomy.sort(key=lambda row: -work[row])

    def with_partners(row: int) -> list[int]:
        anatomy = metadata.anatomies[row]
        if anatomy == UNKNOWN_ANATOMY:
            return [row]
        others = [one for one in of_anatomy if metadata.anatomies[one] != anatomy]
        return [row, *others[:num_partners]]

    mixtures = sorted(map(with_partners, range(len(work))), key=lambda rows: -work[rows].sum())
    return [int(count) for rows in mixtures[:num_cases] for row in rows for count in scans[row]]
