"""What nobody knows of a case is neither learnt nor measured, and counted."""

from dataclasses import replace

import numpy as np
import pytest

from raddiag_hf.data.case_splits import CaseDataError
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, CaseMaker, make_case, numbered, write_store


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


def test_a_case_that_is_labelled_in_part_counts_for_the_labels_that_are_known(tmp_path):
    data = write(tmp_path / "d", case_with_one_unknown, train=range(4), test=[4])
    train = data["train"]
    np.testing.assert_array_equal(train.unknown_counts, [1, 0, 0, 0])
    np.testing.assert_array_equal(train.labels, [[1, 0, np.nan], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert (train.label_counts, train.known_counts) == ([2, 1, 1], [4, 4, 3])
    assert train.frequency_fields() == {
        "train_label_counts": [2, 1, 1], "train_known_counts": [4, 4, 3], "num_train_cases": 4,
    }  # fmt: skip
    assert data["test"].frequency_fields()["train_known_counts"] is None
    kept = data.for_training()
    assert (len(kept["train"]), kept.num_unlabelled, kept.num_partly_labelled) == (4, 0, 1)
    described = kept.describe()["splits"]
    assert described["train"]["known_cases"] == {"Normal": 4, "Pneumothorax": 4, "Hip fracture": 3}
    assert "known_cases" not in described["test"]
    assert not data.is_exclusive, "the case may have the other label too"


def test_what_is_unknown_makes_other_data(tmp_path):
    data = write(tmp_path / "d", case_with_one_unknown, train=range(4))
    same = write(tmp_path / "same", case_with_one_unknown, train=range(4))
    known = write(tmp_path / "known", CaseMaker(), train=range(4))
    assert data["train"].fingerprint == same["train"].fingerprint
    names = {"files": ()}
    one, other = (replace(split["train"], **names).fingerprint for split in (data, known))
    assert one != other


def test_data_sets_without_the_column_stay_as_they_are(tmp_path):
    write_store(tmp_path / "d")
    data = open_cases(tmp_path / "d")
    assert data.labelled() is data


def test_a_packed_case_says_what_is_unknown(tmp_path):
    data = write(tmp_path / "d", case_with_one_unknown, train=range(2))
    processor = RadDiagImageProcessor(image_size=32, max_slices=4)
    packed = [case["labels"][0].tolist() for case in data["train"].pack(processor)]
    np.testing.assert_equal(packed, [[1, 0, np.nan], [0, 1, 0]])
