import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.labels.bands import FrequencyBand
from raddiag_hf.labels.label_set import LabelSet, check_same_label_set
from raddiag_hf.vocabulary import Split

LABELS = LabelSet(
    ("Normal", "Pneumothorax", "Hip fracture"),
    codes=("", "J93", "S72"),
    definitions=("", "Air in the pleural space.", ""),
    train_counts=(100, 30, 29),
    test_counts=(20, 5, 0),
)

label_names = st.lists(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1),
    min_size=1,
    max_size=30,
    unique_by=str.casefold,
)


@given(label_names, st.data())
def test_decode_undoes_encode(names, data):
    label_set = LabelSet.from_names(names)
    chosen = data.draw(st.sets(st.sampled_from(names)))
    multi_hot = label_set.encode(chosen)
    assert multi_hot.dtype == np.float32
    assert multi_hot.sum() == len(chosen)
    assert set(label_set.decode(multi_hot)) == chosen


def test_encode_refuses_a_label_outside_the_set():
    with pytest.raises(ValueError, match=r"not in this label set of 3 labels: \['Mass'\]"):
        LABELS.encode(["Normal", "Mass"])


def test_decode_refuses_probabilities_and_other_lengths():
    with pytest.raises(ValueError, match="thresholds"):
        LABELS.decode([0.0, 0.7, 0.0])
    with pytest.raises(ValueError, match=r"shape is \(2,\), expected \(3,\)"):
        LABELS.decode([0, 1])


def test_columns_go_both_ways():
    assert LABELS.label2id == {"Normal": 0, "Pneumothorax": 1, "Hip fracture": 2}
    assert LABELS.id2label[2] == "Hip fracture"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "at least one label"),
        (("Mass", ""), "label 1 is ''"),
        (("Mass ",), "without spaces"),
        (("Mass\nNodule",), "one line"),
        (("Mass", "mass"), "same label twice"),
        (("M\u00e9ni\u00e8re", "Me\u0301nie\u0300re"), "same label twice"),
    ],
)
def test_bad_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        LabelSet(names)


def test_fields_of_another_length_and_negative_counts_are_refused():
    with pytest.raises(ValueError, match="codes has 1 entries for 2"):
        LabelSet(("Mass", "Nodule"), codes=("R22",))
    with pytest.raises(ValueError, match="test_counts holds -1"):
        LabelSet(("Mass",), test_counts=(-1,))


def test_a_label_dict_gives_names_in_column_order():
    assert LabelSet.from_label_dict({"Nodule": 1, "Mass": 0}).names == ("Mass", "Nodule")


@pytest.mark.parametrize("columns", [{"Mass": 0, "Nodule": 2}, {"Mass": 1, "Nodule": 1}])
def test_a_label_dict_with_gaps_or_shared_columns_is_refused(columns):
    with pytest.raises(ValueError, match="columns 0 to 1, each once"):
        LabelSet.from_label_dict(columns)


def test_bands_start_at_their_thresholds():
    assert LABELS.bands() == (FrequencyBand.HEAD, FrequencyBand.BODY, FrequencyBand.TAIL)
    assert LABELS.bands(head_from=101, tail_below=29) == (FrequencyBand.BODY,) * 3


def test_bands_need_counts():
    with pytest.raises(ValueError, match="no training counts"):
        LabelSet(("Mass",)).bands()


def test_a_text_encoder_reads_the_definition_where_the_name_is_a_code():
    names = ("Normal", "J93", "S72 Fracture of femur", "A00", "Cholera")
    codes = ("", "J93", "S72", "A00", "A00")
    meanings = ("", "Pneumothorax and air leak", "Fracture of femur", "", "An infection")
    label_set = LabelSet(names, codes, meanings)
    assert label_set.texts == (
        "Normal", "Pneumothorax and air leak", "Fracture of femur", "A00", "Cholera",
    )  # fmt: skip
    assert LabelSet(names, codes).texts == LabelSet(names).texts == names


def test_some_labels_keep_all_that_is_known_of_them():
    some = LABELS.select([2, 1])
    assert some == LabelSet(
        ("Hip fracture", "Pneumothorax"),
        codes=("S72", "J93"),
        definitions=("", "Air in the pleural space."),
        train_counts=(29, 30),
        test_counts=(0, 5),
    )


def test_the_most_frequent_labels_come_first():
    counted = LABELS.with_counts({Split.TRAIN: [3, 7, 7], Split.VALIDATION: [1, 0, 0]})
    assert counted.most_frequent(2) == [1, 2]
    assert (counted.validation_counts, counted.test_counts) == ((1, 0, 0), LABELS.test_counts)
    with pytest.raises(ValueError, match="4 labels are asked for, there are 3"):
        counted.most_frequent(4)
    with pytest.raises(ValueError, match="no training counts"):
        LabelSet(("Mass",)).most_frequent(1)


def test_the_fingerprint_depends_on_names_and_order_alone():
    plain = LabelSet(LABELS.names)
    assert plain.fingerprint == LABELS.fingerprint
    assert LabelSet(LABELS.names[::-1]).fingerprint != LABELS.fingerprint
    assert LabelSet(("a,b", "c")).fingerprint != LabelSet(("a", "b,c")).fingerprint


def test_the_fingerprint_is_stable():
    """Models on the Hub carry it; a change would make them refuse their own data."""
    expected = "dc6c1bd0d4c99eee96c80d481ff80509d98c8d554e84c04536255c46bb24a6f5"
    assert LABELS.fingerprint == expected


@given(label_names, st.booleans(), st.booleans())
def test_json_keeps_everything(names, with_codes, with_counts):
    label_set = LabelSet(
        tuple(names),
        codes=tuple(f"A{i}" for i in range(len(names))) if with_codes else (),
        train_counts=tuple(range(len(names))) if with_counts else (),
        validation_counts=tuple(range(len(names))) if with_counts else (),
    )
    assert LabelSet.from_json(label_set.to_json()) == label_set


def test_a_file_that_was_edited_is_refused(tmp_path):
    path = tmp_path / "labels.json"
    LABELS.save(path)
    assert LabelSet.load(path) == LABELS
    path.write_text(path.read_text().replace("Hip fracture", "Wrist fracture"))
    with pytest.raises(ValueError, match=r"labels\.json: the names are not those"):
        LabelSet.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "labels": 3}', '{"format": 9}'])
def test_other_files_are_refused_by_name(tmp_path, text):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"labels\.json: "):
        LabelSet.load(path)


def test_the_authors_file_has_5569_labels(shared_dir):
    path = shared_dir / "data" / "rp3d_diag" / "disorder_label_dict.json"
    label_set = LabelSet.from_label_dict(json.loads(path.read_text()))
    assert len(label_set) == 5569
    assert label_set.names[0] == "Normal"


def test_equal_label_sets_agree():
    equal = LabelSet(LABELS.names)
    check_same_label_set(LABELS, equal)
    assert equal.fingerprint == LABELS.fingerprint
    with pytest.raises(ValueError, match="column 0"):
        check_same_label_set(LABELS, LabelSet(LABELS.names[::-1]))


def test_the_first_label_that_differs_is_named():
    other = LabelSet(("Normal", "Mass", "Hip fracture", "Nodule"))
    message = "model has 3 labels, the data set has 4.*column 1: 'Pneumothorax'.*'Mass'"
    with pytest.raises(ValueError, match=message):
        check_same_label_set(LABELS, other)


def test_a_label_set_that_goes_on_is_another_one():
    with pytest.raises(ValueError, match="first 1 agree, then the model continues with 'Pneumo"):
        check_same_label_set(LABELS, LabelSet(("Normal",)))
