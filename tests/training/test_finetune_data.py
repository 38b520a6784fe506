"""The splits of a fine-tuning, and data sets that cannot be used."""

import numpy as np
import pytest

from raddiag_hf.training.finetune_data import open_finetune_data
from raddiag_hf.training.finetune_settings import FinetuneError, FinetuneSettings, Method
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, CaseMaker, make_case, numbered, write_store

PROBE = FinetuneSettings(Method.LINEAR_PROBE)


def test_a_data_set_keeps_its_own_splits(tmp_path):
    splits = {Split.TRAIN: range(20), Split.VALIDATION: range(20, 26), Split.TEST: range(26, 30)}
    write_store(tmp_path / "d", {split: numbered(numbers) for split, numbers in splits.items()})
    data = open_finetune_data(tmp_path / "d", PROBE)
    assert {split: len(rows) for split, rows in data.rows.items()} == {
        split: len(numbers) for split, numbers in splits.items()
    }
    assert "own validation split" in data.validation_origin
    np.testing.assert_array_equal(data.labels(Split.TEST).sum(1), 1)
    assert data.label_set.train_counts == (7, 7, 6)


def test_missing_validation_is_carved_from_training_by_patient(tmp_path):
    write_store(tmp_path / "d", {Split.TRAIN: numbered(range(40)), Split.TEST: {"case-50": 50}})
    data = open_finetune_data(tmp_path / "d", PROBE)
    train, validation = (set(data.patient_ids(s)) for s in (Split.TRAIN, Split.VALIDATION))
    assert train
    assert validation
    assert not train & validation
    assert len(data.rows[Split.TRAIN]) + len(data.rows[Split.VALIDATION]) == 40
    assert "set aside from the training split" in data.validation_origin
    again = open_finetune_data(tmp_path / "d", PROBE)
    np.testing.assert_array_equal(again.rows[Split.VALIDATION], data.rows[Split.VALIDATION])


def test_cases_and_labels_of_a_split_belong_together(tmp_path):
    from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor

    write_store(tmp_path / "d", {Split.TRAIN: numbered(range(24))})
    data = open_finetune_data(tmp_path / "d", PROBE)
    packed = data.packed_cases(RadDiagImageProcessor(image_size=16, max_slices=4))
    for split, cases in packed.items():
        assert len(cases) == len(data.rows[split])
        for case, labels in zip(cases, data.labels(split), strict=True):
            np.testing.assert_array_equal(case["labels"][0], labels)


def test_only_counts_are_described(tmp_path):
    write_store(tmp_path / "d", {Split.TRAIN: numbered(range(24))})
    text = str(open_finetune_data(tmp_path / "d", PROBE).describe())
    assert "'patients'" in text
    assert "patient-" not in text
    assert "case-" not in text


@pytest.mark.parametrize(
    ("items", "options", "settings", "message"),
    [
        ({Split.TEST: numbered(range(4))}, {}, {}, "no training cases, only ['test']"),
        ({Split.TRAIN: numbered([3, 4]), Split.TEST: numbered([5])}, {}, {},
         "1 of 2 patients have cases in more than one split"),
        ({Split.TRAIN: numbered([2, 3])}, {}, {}, "cannot be shared by patient"),
        ({Split.TRAIN: numbered(range(9))}, {}, {"label_column": "icd10"},
         "no label column 'icd10'; expected one of labels"),
    ],
)  # fmt: skip
def test_data_sets_that_cannot_be_used(tmp_path, items, options, settings, message):
    write_store(tmp_path / "d", items, **options)
    with pytest.raises(FinetuneError) as caught:
        open_finetune_data(tmp_path / "d", FinetuneSettings(Method.LINEAR_PROBE, **settings))
    assert message in str(caught.value)
    assert str(tmp_path / "d") in str(caught.value)


def test_several_label_columns_need_a_choice(tmp_path):
    class TwoColumns(CaseMaker):
        def __call__(self, number):
            names = make_case(number).labels["labels"]
            case = make_case(number, labels={"disorders": names, "icd10": names})
            return type(super().__call__(number))(case)

    write_store(
        tmp_path / "d", {Split.TRAIN: numbered(range(24))}, build_case=TwoColumns(),
        label_sets={"disorders": LABELS, "icd10": LABELS},
    )  # fmt: skip
    with pytest.raises(FinetuneError, match="no label column was named; expected one of disorders"):
        open_finetune_data(tmp_path / "d", PROBE)
    settings = FinetuneSettings(Method.LINEAR_PROBE, label_column="icd10")
    assert open_finetune_data(tmp_path / "d", settings).label_column == "icd10"


def test_a_folder_that_is_no_data_set_is_one_error(tmp_path):
    with pytest.raises(FinetuneError, match="no such folder"):
        open_finetune_data(tmp_path / "absent", PROBE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FinetuneError, match="empty: has no"):
        open_finetune_data(tmp_path / "empty", PROBE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": Method.LORA, "train_batch_norm": True}, "train_batch_norm"),
        ({"head": "knowledge"}, "a linear probe learns its own head"),
        ({"num_epochs": 0}, "num_epochs is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"layer_decay": 1.5}, "layer_decay is 1.5"),
        ({"penalties": (1.0, -1.0)}, "penalties"),
        ({"seed": -1}, "seed is -1, expected a whole number of at least 0"),
        ({"num_workers": -1}, "num_workers is -1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"num_epochs": 2.5}, "num_epochs is 2.5, expected a whole number"),
        ({"batch_size": "8"}, "batch_size is '8'"),
        ({"lora_rank": 4}, "lora_rank is 4, but the method is linear-probe"),
        ({"method": Method.FULL, "train_batch_norm": True, "batch_size": 1}, "batch_size is 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    from raddiag_hf.training.finetune_settings import Head

    if "head" in changes:
        changes = {"head": Head(changes["head"])}
    with pytest.raises(FinetuneError, match=message):
        FinetuneSettings(**({"method": Method.LINEAR_PROBE} | changes))
