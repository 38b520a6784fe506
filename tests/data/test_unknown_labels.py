"""Cases whose labels nobody knows are neither learnt nor measured, and counted."""

from dataclasses import replace

import numpy as np
import pytest

from raddiag_hf.data.case_splits import CaseDataError
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, make_case, numbered, write_store


def case_with_unknown(number):
    """Every fourth case is not labelled."""
    case = make_case(number)
    if number % 4 == 0:
        case = replace(case, labels={"labels": ()}, unknown_labels={"labels": LABELS.names})
    return BuiltCase(case)


def case_with_one_unknown(number):
    case = make_case(number)
    unknown = {"labels": ("Hip fracture",)} if number == 0 else {}
    return BuiltCase(replace(case, unknown_labels=unknown))


def write(folder, build_case, **splits):
    items = {Split(name): numbered(one) for name, one in splits.items()}
    write_store(folder, items, build_case=build_case, unknown_in=("labels",))
    return open_cases(folder)


def test_cases_without_known_labels_are_left_out_of_all_splits_and_counted(tmp_path):
    data = write(
        tmp_path / "d", case_with_unknown, train=range(20), validation=range(20, 30), test=[30, 31]
    )
    assert len(data["train"]) == 20, "they can be embedded"
    kept = data.for_training()
    assert {name: len(one) for name, one in kept.items()} == {
        "train": 15, "validation": 7, "test": 2,
    }  # fmt: skip
    assert kept.num_unlabelled == 8
    assert (kept["train"].labels.sum(1) == 1).all()
    assert kept.is_exclusive
    assert not data.is_exclusive
    numbers = [int(one.removeprefix("case-")) % 4 for one in kept["train"].metadata.case_ids]
    assert 0 not in numbers
    rows = [kept["train"].rows[row]["case_id"] for row in range(15)]
    assert rows == list(kept["train"].metadata.case_ids)


def test_a_split_that_is_set_aside_has_none_of_them_either(tmp_path):
    kept = write(tmp_path / "d", case_with_unknown, train=range(40)).for_training(0.25)
    assert len(kept["train"]) + len(kept["validation"]) == 30
    assert kept.num_unlabelled == 10
    assert all((one.labels.sum(1) == 1).all() for one in kept.values())


def test_a_split_without_a_known_label_is_no_split(tmp_path):
    data = write(tmp_path / "d", case_with_unknown, train=range(8), test=[8, 12])
    assert list(data.labelled()) == ["train"]


def test_data_that_nobody_labelled_are_refused(tmp_path):
    data = write(tmp_path / "d", case_with_unknown, train=[0, 4, 8])
    with pytest.raises(CaseDataError, match="nobody labelled any of the cases"):
        data.for_training()


def test_a_case_that_is_labelled_in_part_is_refused_rather_than_taken_for_absent(tmp_path):
    data = write(tmp_path / "d", case_with_one_unknown, train=range(4))
    np.testing.assert_array_equal(data["train"].unknown_counts, [1, 0, 0, 0])
    with pytest.raises(CaseDataError, match="some labels of a case are unknown"):
        data.for_training()


def test_data_sets_without_the_column_stay_as_they_are(tmp_path):
    write_store(tmp_path / "d")
    data = open_cases(tmp_path / "d")
    assert data.labelled() is data


def test_a_packed_case_says_what_is_unknown(tmp_path):
    data = write(tmp_path / "d", case_with_one_unknown, train=range(2))
    processor = RadDiagImageProcessor(image_size=32, max_slices=4)
    packed = [case["labels"][0].tolist() for case in data["train"].pack(processor)]
    np.testing.assert_equal(packed, [[1, 0, np.nan], [0, 1, 0]])
