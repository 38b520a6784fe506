"""Plans are made for the micro-batch that can take most, and for the mean one."""

import numpy as np
import pytest

from raddiag_hf.data.batches.case_augmentation import UNKNOWN_ANATOMY, CaseAugmentation
from raddiag_hf.data.opening import open_cases
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.training.plan.case_sizes import CaseSizes, heaviest_batch, mean_slices
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store

HEAD, CHEST, HIP = [number for number in range(4) if number != UNKNOWN_ANATOMY][:3]


@pytest.fixture
def sizes():
    """Five cases: 40 slices of two head scans, chest of 8, head of 30, a hip picture, unknown."""
    return CaseSizes(
        anatomies=np.array([HEAD, CHEST, HEAD, HIP, UNKNOWN_ANATOMY]),
        scan_cases=np.array([0, 0, 1, 2, 3, 4]),
        scan_depths=np.array([20, 20, 8, 30, 1, 25]),
    )


def test_the_cases_with_most_slices_are_planned_for(sizes):
    assert heaviest_batch(sizes, 2, 32) == [20, 20, 30]
    assert heaviest_batch(sizes, 2, 10) == [10, 10, 10]


def test_mixed_cases_bring_the_heaviest_of_other_anatomies(sizes):
    mixing = CaseAugmentation(max_mixed_cases=3)
    assert heaviest_batch(sizes, 1, 32, augmentation=mixing) == [20, 20, 8, 1]
    two = CaseAugmentation(max_mixed_cases=2)
    assert heaviest_batch(sizes, 2, 32, augmentation=two) == [20, 20, 8, 8, 20, 20]
    off = CaseAugmentation(mixing_probability=0)
    assert heaviest_batch(sizes, 1, 32, augmentation=off) == [20, 20]


def test_a_grey_picture_counts_as_the_slices_that_it_becomes(sizes):
    assert heaviest_batch(sizes, 5, 32, grey_picture_slices=3)[-1] == 3


def test_scans_and_budget_bound_the_heaviest_batch(sizes):
    bounded = CaseAugmentation(max_scans=1, slice_budget=25)
    assert heaviest_batch(sizes, 1, 32, augmentation=bounded) == [30], "one scan is always kept"
    assert heaviest_batch(sizes, 1, 20, augmentation=bounded) == [20, 5]


def test_the_worst_case_of_a_distribution_is_in_what_is_drawn_of_it():
    sizes = CaseSizes.draw(100, {1: 0.9, 30: 0.001}, {1: 0.5, 32: 0.5})
    assert heaviest_batch(sizes, 1, 32, augmentation=CaseAugmentation()) == [32] * 60
    paper = CaseAugmentation(max_scans=4, slice_budget=256)
    assert heaviest_batch(sizes, 1, 32, augmentation=paper) == [32] * 8
    with pytest.raises(ValueError, match="at least 1"):
        CaseSizes.draw(10, {0: 1.0}, {1: 1.0})


def test_rp3d_has_as_many_scans_as_the_paper_says():
    sizes = CaseSizes.of_rp3d()
    counts = np.bincount(sizes.scan_cases)
    assert (len(sizes), counts.min(), counts.max()) == (29_536, 1, 30)
    assert abs(counts.mean() - 195_010 / 40_936) < 0.1


def test_mean_slices_are_those_that_training_sees(tmp_path):
    store = write_store(tmp_path / "cases", {Split.TRAIN: numbered(range(40))})
    cases = open_cases(store.location)["train"]
    processor = RadDiagImageProcessor(image_size=16, max_slices=2)
    sizes = CaseSizes.of(cases.metadata)
    assert mean_slices(sizes, 2) == cases.slice_counts(2).mean()
    augmentation = CaseAugmentation(None, 0, 0.5, 2, 0.1, max_scans=2, slice_budget=6)
    packed = cases.pack(processor, augmentation)
    seen = [len(packed[index]["pixel_values"]) for index in range(400)]
    assert mean_slices(sizes, 2, augmentation=augmentation) == pytest.approx(
        np.mean(seen), rel=0.08
    )
