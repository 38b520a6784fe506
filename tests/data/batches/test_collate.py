"""Joining packed cases."""

import pytest
import torch

from raddiag_hf.data.batches.collate import collate_cases
from tests.fixtures.models import packed_batch


def test_joined_cases_are_the_batch_packed_at_once():
    cases = [[3, 1], [8], [2, 2, 2]]
    whole = packed_batch(cases)
    parts, slices, scans = [], 0, 0
    for number, case in enumerate(cases):
        parts.append(
            {
                "pixel_values": whole["pixel_values"][slices : slices + sum(case)],
                "slice_counts": whole["slice_counts"][scans : scans + len(case)],
                "scan_counts": whole["scan_counts"][number : number + 1],
                "modality_slots": whole["modality_slots"][scans : scans + len(case)],
            }
        )
        slices, scans = slices + sum(case), scans + len(case)
    joined = collate_cases(parts)
    assert joined.keys() == whole.keys()
    assert all(torch.equal(joined[key], whole[key]) for key in whole)


def test_labels_come_first():
    case = packed_batch([[1]]) | {"labels": torch.zeros(1, 5)}
    assert next(iter(collate_cases([case, case]))) == "labels"


def test_cases_that_differ_in_keys_are_refused():
    case = packed_batch([[1]])
    with pytest.raises(ValueError, match="different keys"):
        collate_cases([case, case | {"labels": torch.zeros(1, 5)}])
    with pytest.raises(ValueError, match="no case"):
        collate_cases([])
