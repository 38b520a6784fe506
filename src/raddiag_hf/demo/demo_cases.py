"""The cases that the demo diagnoses: one held-out phantom, and real DICOM that pydicom carries."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.data import get_testdata_file

from raddiag_hf.data.case_splits import CaseSplit
from raddiag_hf.imaging.reading import read_scans
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.phantoms.cases import draw_case, phantom_disorders
from raddiag_hf.phantoms.dicom import write_dicom_case

REAL_CASES = {
    "A real chest CT slice (pydicom's CT_small.dcm)": "CT_small.dcm",
    "A real MRI slice (pydicom's MR_small.dcm)": "MR_small.dcm",
    "A real study: radiographs and CT of one patient, thumbnails (pydicom)": (
        "dicomdirtests/77654033"
    ),
}

NORMAL_COLUMN, COMMON_DISORDERS = 0, 4
"""How many of the most frequent disorders count as common: what a demo can learn in minutes."""


@dataclass(frozen=True)
class DemoCase:
    """Scans of one case, read from DICOM files.

    Attributes:
        title: What to call it.
        scans: As read.
        known_labels: What a phantom was drawn with; nothing for real cases.
    """

    title: str
    scans: tuple[Scan, ...]
    known_labels: tuple[str, ...] = ()


def held_out_case(test: CaseSplit, processor: RadDiagImageProcessor, folder: Path) -> DemoCase:
    """Write a test phantom with several scans and a lesion as DICOM, and read it back.

    Args:
        test: Phantoms; the case is the first of them with at least three scans of at least two
            modalities, and no disorder but the most frequent ones.
        processor: The demo's; phantoms are drawn at its size.
        folder: Where to write; must not exist.
    """
    known, indicators = test.metadata, test.labels
    chosen = len(test) - 1
    for case in range(len(test)):
        modalities = known.scan_modalities[known.scan_cases == case]
        labels = np.flatnonzero(indicators[case])
        is_common = labels.min() > NORMAL_COLUMN and labels.max() <= COMMON_DISORDERS
        if len(modalities) > 2 and len(set(modalities)) > 1 and is_common:
            chosen = case
            break
    _, seed, index = known.case_ids[chosen].split("-")
    phantom = draw_case(
        int(seed),
        int(index),
        image_size=processor.image_size,
        max_slices=processor.max_slices,
        disorders=phantom_disorders()[: len(test.label_set) - 1],
    )
    write_dicom_case(phantom, folder)
    title = "The first held-out phantom with several scans and a common disorder"
    return DemoCase(title, tuple(read_scans(folder).scans), phantom.disorders)


def real_cases() -> list[DemoCase]:
    """Read the real DICOM files that come with pydicom."""
    cases = []
    for title, name in REAL_CASES.items():
        path = get_testdata_file(name, download=False)
        cases.append(DemoCase(title, tuple(read_scans(path).scans)))
    return cases
