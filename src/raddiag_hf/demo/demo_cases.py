"""The cases that the demo diagnoses: one held-out phantom, and real DICOM that pydicom carries."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.data import get_testdata_file

from raddiag_hf.demo.phantom_data import PhantomSplits, draw_test_case
from raddiag_hf.imaging.reading import read_scans
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.phantoms.dicom import write_dicom_case

REAL_CASES = {
    "A real chest CT slice (pydicom's CT_small.dcm)": "CT_small.dcm",
    "A real MRI slice (pydicom's MR_small.dcm)": "MR_small.dcm",
    "A real study: radiographs and CT of one patient, thumbnails (pydicom)": (
        "dicomdirtests/77654033"
    ),
}

COMMON_DISORDERS = 4
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


def held_out_case(
    splits: PhantomSplits, processor: RadDiagImageProcessor, folder: Path
) -> DemoCase:
    """Write a test phantom with several scans and a lesion as DICOM, and read it back.

    Args:
        splits: The data set; the case is the first of its test cases with at least three scans of
            at least two modalities, and one of the most frequent disorders.
        processor: The demo's.
        folder: Where to write; must not exist.
    """
    common = set(splits.label_set.names[1 : 1 + COMMON_DISORDERS])
    for index in range(len(splits.test)):
        case = draw_test_case(splits, index, processor)
        several = len({scan.modality for scan in case.scans}) > 1 and len(case.scans) > 2
        if several and set(case.disorders) <= common:
            break
    write_dicom_case(case, folder)
    title = "The first held-out phantom with several scans and a common disorder"
    return DemoCase(title, tuple(read_scans(folder).scans), case.disorders)


def real_cases() -> list[DemoCase]:
    """Read the real DICOM files that come with pydicom."""
    cases = []
    for title, name in REAL_CASES.items():
        path = get_testdata_file(name, download=False)
        cases.append(DemoCase(title, tuple(read_scans(path).scans)))
    return cases
