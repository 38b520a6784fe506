"""Plans are made for the micro-batch that can take most."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from raddiag_hf.data.batches.case_augmentation import UNKNOWN_ANATOMY, CaseAugmentation
from raddiag_hf.data.store.case_metadata import CaseMetadata
from raddiag_hf.training.memory_plan import heaviest_batch

HEAD, CHEST, HIP = [number for number in range(4) if number != UNKNOWN_ANATOMY][:3]


@pytest.fixture
def metadata():
    """Five cases: 40 slices of two head scans, chest of 8, head of 30, a hip picture, unknown."""
    scan_cases = np.array([0, 0, 1, 2, 3, 4])
    return CaseMetadata(
        splits=("train",) * 5,
        case_ids=tuple("abcde"),
        patient_ids=tuple("abcde"),
        anatomies=np.array([HEAD, CHEST, HEAD, HIP, UNKNOWN_ANATOMY]),
        label_names={"labels": ("x",)},
        labels={"labels": csr_array((5, 1), dtype=bool)},
        scan_cases=scan_cases,
        scan_modalities=np.zeros(6, np.int64),
        scan_depths=np.array([20, 20, 8, 30, 1, 25]),
        scan_studies=np.array([""] * 6, object),
    )


def test_the_cases_with_most_slices_are_planned_for(metadata):
    assert heaviest_batch(metadata, 2, 32) == [20, 20, 30]
    assert heaviest_batch(metadata, 2, 10) == [10, 10, 10]


def test_mixed_cases_bring_the_heaviest_of_other_anatomies(metadata):
    mixing = CaseAugmentation(max_mixed_cases=3)
    assert heaviest_batch(metadata, 1, 32, augmentation=mixing) == [20, 20, 8, 1]
    two = CaseAugmentation(max_mixed_cases=2)
    assert heaviest_batch(metadata, 2, 32, augmentation=two) == [20, 20, 8, 8, 20, 20]
    off = CaseAugmentation(mixing_probability=0)
    assert heaviest_batch(metadata, 1, 32, augmentation=off) == [20, 20]


def test_a_grey_picture_counts_as_the_slices_that_it_becomes(metadata):
    assert heaviest_batch(metadata, 5, 32, grey_picture_slices=3)[-1] == 3
