"""Stored cases become what the processor makes of the scans themselves."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.data.batches.collate import collate_cases
from raddiag_hf.data.batches.training_cases import CasePacker, TrainingCases, count_slices
from raddiag_hf.data.store.case import case_features, encode_case
from raddiag_hf.data.store.case_metadata import read_metadata
from raddiag_hf.data.store.scan_record import CaseScan
from tests.fixtures.cases import LABELS, make_case, make_scan

PROCESSOR = RadDiagImageProcessor(image_size=16, max_slices=2)
FEATURES = case_features(LABELS)


@pytest.fixture(scope="module")
def split():
    rows = [encode_case(make_case(number), FEATURES) for number in range(6)]
    return Dataset.from_list(rows, features=FEATURES)


def test_a_stored_case_is_packed_as_the_case_itself(split):
    packed = TrainingCases(split, CasePacker(FEATURES, PROCESSOR))[5]
    case = make_case(5)
    expected = PROCESSOR(
        [one.scan.volume for one in case.scans],
        [one.scan.modality for one in case.scans],
        key_slices=[one.key_slice for one in case.scans],
        labels=LABELS.encode(case.labels["labels"])[None],
    )
    assert packed.keys() == expected.keys()
    assert all(torch.equal(packed[key], expected[key]) for key in packed)


def test_scans_of_two_studies_are_numbered_and_rescaled_apart():
    brightness = {"first": 1, "second": 1000}
    scans = tuple(
        CaseScan(
            make_scan(volume=ramp * np.ones((2, 16, 16), np.float32), scan_id=study), study=study
        )
        for study, top in brightness.items()
        for ramp in [np.linspace(0, top, 16, dtype=np.float32)]
    )
    row = encode_case(make_case(scans=scans), FEATURES)
    processor = RadDiagImageProcessor(image_size=16, max_slices=2, rescale_range="padded_study")
    packed = CasePacker(FEATURES, processor)(row)
    assert packed["modality_slots"].tolist() == [1, 1]
    assert packed["pixel_values"].amax((1, 2, 3)).tolist() == [1, 1, 1, 1]
    for scan in row["scans"]:
        del scan["study"]  # as data sets of earlier versions are
    together = CasePacker(FEATURES, processor)(row)
    assert together["modality_slots"].tolist() == [1, 2]
    assert together["pixel_values"][:2].max() < 0.01


def test_workers_decode_and_batches_are_packed(split):
    cases = TrainingCases(split, CasePacker(FEATURES, PROCESSOR))
    loader = torch.utils.data.DataLoader(cases, 3, num_workers=2, collate_fn=collate_cases)
    batches = list(loader)
    assert [batch["scan_counts"].tolist() for batch in batches] == [[1, 2, 3], [1, 2, 3]]
    assert torch.equal(batches[1]["labels"], torch.eye(3))


def test_slices_are_counted_without_pixels(split):
    metadata = read_metadata({"train": split})
    counted = count_slices(metadata.scan_cases, metadata.scan_depths, len(metadata), 2)
    packer = CasePacker(FEATURES, PROCESSOR)
    assert counted.tolist() == [int(packer(row)["slice_counts"].sum()) for row in split]


def test_work_beyond_the_most_scans_does_not_count():
    scan_cases, depths = np.array([0, 0, 0, 0, 1]), np.array([10, 20, 30, 40, 5])
    assert count_slices(scan_cases, depths, 2, 32).tolist() == [92, 5]
    assert count_slices(scan_cases, depths, 2, 32, max_scans=2).tolist() == [46, 5]


def test_an_unknown_label_column_is_refused():
    with pytest.raises(ValueError, match=r"no label column 'icd10', only \['labels'\]"):
        CasePacker(FEATURES, PROCESSOR, label_column="icd10")
