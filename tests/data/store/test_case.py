import dataclasses

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, List, Value

from raddiag_hf.data.store.case import (
    case_features,
    decode_case,
    encode_case,
    label_columns,
)
from raddiag_hf.data.store.scan_record import CaseScan
from raddiag_hf.data.store.storage_options import StorageOptions
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Plane, Sex
from tests.fixtures.cases import LABELS, make_case, make_scan

FEATURES = case_features(LABELS)


def test_the_columns_are_those_of_the_contract():
    assert list(FEATURES) == [
        "case_id",
        "patient_id",
        "source",
        "age",
        "sex",
        "anatomy",
        "scans",
        "labels",
    ]
    assert list(FEATURES["scans"].feature) == [
        "scan_id",
        "modality",
        "anatomy",
        "plane",
        "sequence",
        "study",
        "key_slice",
        "spacing_mm",
        "volume",
    ]
    assert FEATURES["labels"] == List(ClassLabel(names=list(LABELS.names)))
    assert FEATURES["age"] == Value("float32")


UNKNOWN_FEATURES = case_features(LABELS, unknown_in=["labels"])


def test_unknown_labels_stand_in_a_column_beside_the_labels():
    assert list(UNKNOWN_FEATURES) == [*FEATURES, "unknown_labels"]
    assert list(label_columns(UNKNOWN_FEATURES)) == ["labels"]
    case = make_case(
        0, labels={"labels": ("Normal",)}, unknown_labels={"labels": ("Hip fracture",)}
    )
    row = encode_case(case, UNKNOWN_FEATURES)
    assert row["unknown_labels"] == [2]
    stored = Dataset.from_list([row], features=UNKNOWN_FEATURES)[0]
    assert decode_case(stored, UNKNOWN_FEATURES).unknown_labels == case.unknown_labels
    with pytest.raises(ValueError, match="there is no column 'unknown_labels'"):
        encode_case(case, FEATURES)


def test_a_label_cannot_be_there_and_unknown():
    with pytest.raises(ValueError, match="unknown too"):
        make_case(0, labels={"labels": ("Normal",)}, unknown_labels={"labels": ("Normal",)})


def test_two_label_spaces_are_two_columns():
    features = case_features({"disorders": LABELS, "icd10": LabelSet(("Z00", "J93"))})
    assert list(label_columns(features)) == ["disorders", "icd10"]
    assert label_columns(features)["icd10"].names == ["Z00", "J93"]


def test_a_label_column_cannot_take_the_name_of_another():
    with pytest.raises(ValueError, match=r"\['scans'\]"):
        case_features({"scans": LABELS})


@pytest.mark.parametrize("number", range(3))
def test_a_case_comes_back_from_a_data_set_as_it_went_in(number):
    case = make_case(number)
    row = Dataset.from_list([encode_case(case, FEATURES)], features=FEATURES)[0]
    back = decode_case(row, FEATURES)
    assert back.labels == case.labels
    for field in ("case_id", "patient_id", "source", "anatomy", "age", "sex"):
        assert getattr(back, field) == getattr(case, field), field
    for before, after in zip(case.scans, back.scans, strict=True):
        np.testing.assert_array_equal(after.scan.volume, before.scan.volume)
        assert (after.key_slice, after.sequence) == (before.key_slice, before.sequence)
        for field in ("modality", "anatomy", "plane", "spacing_mm", "scan_id"):
            assert getattr(after.scan, field) == getattr(before.scan, field), field


def test_every_word_of_the_vocabulary_has_a_class():
    scans = FEATURES["scans"].feature
    assert scans["modality"].names == list(Modality)
    assert scans["plane"].names == list(Plane)
    assert FEATURES["anatomy"].names == list(Anatomy)
    assert FEATURES["sex"].names == list(Sex)


def test_unknown_age_and_sex_and_no_label_are_stored_as_such():
    case = make_case(age=None, sex=None, labels={"labels": ()})
    row = Dataset.from_list([encode_case(case, FEATURES)], features=FEATURES)[0]
    assert (row["age"], row["sex"], row["labels"]) == (None, None, [])
    assert decode_case(row, FEATURES).labels == {"labels": ()}


def test_a_picture_is_known_again():
    picture = CaseScan(make_scan(shape=(1, 8, 8)))
    sampled = CaseScan(make_scan(1, shape=(9, 8, 8)))
    case = make_case(scans=(picture, sampled))
    back = decode_case(encode_case(case, FEATURES, StorageOptions(max_slices=1)), FEATURES)
    assert [one.scan.is_picture for one in back.scans] == [True, False]


def test_a_picture_of_three_equal_slices_is_stored_once():
    grey = make_scan(shape=(1, 8, 8)).volume
    picture = make_scan(shape=(3, 8, 8), is_picture=True)
    picture.volume[:] = grey
    row = encode_case(make_case(scans=(CaseScan(picture, key_slice=2),)), FEATURES)
    (back,) = decode_case(row, FEATURES).scans
    assert (back.scan.volume.shape, back.scan.is_picture, back.key_slice) == ((1, 8, 8), True, 0)
    np.testing.assert_array_equal(back.scan.volume, grey)


def test_a_reduced_scan_keeps_the_shape_that_it_had():
    case = make_case(scans=(CaseScan(make_scan(shape=(9, 40, 20)), key_slice=8),))
    scan = encode_case(case, FEATURES, StorageOptions(max_side=10, max_slices=3))["scans"][0]
    assert scan["volume"]["shape"] == [3, 10, 10]
    assert scan["volume"]["source_shape"] == [9, 40, 20]
    assert scan["key_slice"] == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"case_id": ""}, "must not be empty"),
        ({"patient_id": ""}, "'case-0'.*must not be empty"),
        ({"scans": ()}, "'case-0': has no scan"),
        ({"scans": (CaseScan(make_scan()), CaseScan(make_scan()))}, "two scans share an id"),
        ({"labels": {"labels": ("Normal", "Normal")}}, "names a label twice"),
        ({"age": -1.0}, "age is -1.0, expected 0 to 130"),
        ({"age": float("nan")}, "age is nan"),
    ],
)
def test_a_case_that_cannot_be_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        make_case(**fields)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"labels": ("Mass",)}, "'case-0': labels has no label 'Mass'"),
        ({"icd10": ()}, r"label columns \['icd10'\], expected \['labels'\]"),
    ],
)
def test_labels_of_another_data_set_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        encode_case(make_case(labels=labels), FEATURES)


def test_a_scan_of_unknown_modality_is_refused():
    with pytest.raises(ValueError, match="scan-0: neither file nor caller says the modality"):
        CaseScan(make_scan(modality=None))


@pytest.mark.parametrize("key_slice", [-2, 3])
def test_a_key_slice_outside_the_scan_is_refused(key_slice):
    with pytest.raises(ValueError, match=f"key slice is {key_slice}, expected -1.*or 0 to 2"):
        CaseScan(make_scan(), key_slice=key_slice)


def test_errors_name_the_case_and_the_scan():
    broken = make_scan()
    broken.volume[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"case 'case-0': scan 'scan-0': .*finite"):
        encode_case(make_case(scans=(CaseScan(broken),)), FEATURES)
    row = encode_case(make_case(), FEATURES)
    row["scans"][0]["volume"]["data"] = b""
    with pytest.raises(ValueError, match=r"case 'case-0': scan 'scan-0': .*damaged"):
        decode_case(row, FEATURES)


@pytest.mark.parametrize(("field", "value"), [("bits", 12), ("max_side", 0), ("max_slices", -1)])
def test_storage_options_are_checked(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        dataclasses.replace(StorageOptions(), **{field: value})
