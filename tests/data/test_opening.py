"""A data set is opened in one way, wherever it lies, and says what is wrong with it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from datasets import Dataset
from fsspec.core import url_to_fs

from raddiag_hf.data.case_splits import CaseDataError
from raddiag_hf.data.model_labels import LabelMismatchError
from raddiag_hf.data.opening import count_labels, find_cases, open_cases
from raddiag_hf.data.store.case import case_features
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.vocabulary import Modality, Split
from tests.fixtures.cases import LABELS, CaseMaker, make_case, numbered, write_store
from tests.fixtures.folders import contents
from tests.fixtures.hub_standin import HubStandIn

SPLITS = {Split.TRAIN: range(20), Split.VALIDATION: range(20, 26), Split.TEST: range(26, 30)}
PHANTOMS = {"num_train": 2, "num_validation": 1, "num_test": 1, "image_size": 32, "max_slices": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opening") / "cases"
    write_store(folder, {split: numbered(numbers) for split, numbers in SPLITS.items()})
    return folder


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


class TwoColumns(CaseMaker):
    def __call__(self, number):
        names = make_case(number).labels["labels"]
        case = make_case(number, labels={"disorders": names, "icd10": names})
        return type(super().__call__(number))(case)


class WithoutStudies(CaseMaker):
    """Makes cases of three scans, two of one modality."""

    def __call__(self, number):
        scans = [
            replace(one, scan=replace(one.scan, modality=Modality.CT)) for one in make_case(2).scans
        ]
        return type(super().__call__(number))(make_case(number, scans=tuple(scans)))


def test_a_data_set_from_before_studies_opens_and_says_so_once(tmp_path, caplog):
    store = write_store(
        tmp_path / "cases",
        {Split.TRAIN: numbered([0, 1]), Split.TEST: numbered([2])},
        build_case=WithoutStudies(),
    )
    open_cases(tmp_path / "cases")
    assert "study" not in caplog.text
    for path in (path for paths in store.shards.values() for path in paths):
        rows = Dataset.from_parquet(path, cache_dir=str(tmp_path / "cache"))
        older = case_features(LABELS, has_studies=False)
        scans = [
            [{key: scan[key] for key in scan if key != "study"} for scan in row["scans"]]
            for row in rows
        ]
        columns = rows.to_dict() | {"scans": scans}
        Dataset.from_dict(columns, features=older).to_parquet(path)
    cases = open_cases(tmp_path / "cases")
    assert caplog.text.count("says no study of its scans") == 1
    processor = RadDiagImageProcessor(image_size=16, max_slices=2)
    assert cases["train"].pack(processor)[0]["modality_slots"].tolist() == [1, 2, 3]
    assert cases["train"].metadata.scan_studies.tolist() == [""] * 6


def config_of(label_set):
    return RadDiagConfig(id2label=label_set.id2label, label2id=label_set.label2id)


def test_a_folder_has_all_of_its_splits(folder):
    cases = open_cases(folder)
    assert {split: len(one) for split, one in cases.items()} == {
        split: len(numbers) for split, numbers in SPLITS.items()
    }
    assert cases["test"].rows[1]["case_id"] == cases["test"].metadata.case_ids[1] == "case-27"
    assert cases["train"].label_counts == [7, 7, 6]
    assert cases["test"].label_set.train_counts == (7, 7, 6)
    assert cases.label_set.codes == LABELS.codes
    assert "own validation split" in cases.validation_origin


def test_only_what_is_asked_for_is_prepared(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    cases = open_cases(folder, ["test"])
    assert list(cases) == ["test"]
    assert [path.stem for path in tmp_path.rglob("*.arrow")] == ["parquet-test"]
    assert cases.label_set.train_counts == (7, 7, 6)  # as the build counted them


def test_splits_are_slices_of_what_is_stored(folder):
    wanted = {"train": "train[:50%]", "validation": "train[50%:] + validation[:2]"}
    cases = open_cases(folder, wanted)
    assert [len(one) for one in cases.values()] == [10, 12]
    assert cases["validation"].metadata.case_ids[-3:] == ("case-19", "case-20", "case-21")
    assert cases["validation"].rows[-1]["case_id"] == "case-21"
    assert sum(cases.label_set.train_counts) == 10


def test_a_folder_of_another_tool_is_opened_by_its_columns(folder, tmp_path):
    rows = open_cases(folder, ["train"])["train"].rows
    (tmp_path / "data").mkdir()
    rows.to_parquet(tmp_path / "data" / "train.parquet")
    cases = open_cases(tmp_path)
    assert isinstance(find_cases(tmp_path)["train"], Dataset)
    assert cases["train"].metadata.case_ids == tuple(rows["case_id"])
    assert cases.label_set.names == LABELS.names


def test_a_builder_is_opened_by_its_name():
    cases = open_cases(
        "phantoms", {"train": "train[:1]"}, label_column="disorders", options=PHANTOMS
    )
    assert cases.location == "phantoms"
    assert len(cases["train"]) == len(cases["train"].rows) == 1
    assert len(cases.label_set.train_counts) == len(cases.label_set)


def test_a_folder_with_a_glob_in_its_name(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "o[1]")
    assert len(open_cases(tmp_path / "o[1]", ["test"])["test"]) == 4


def test_an_address_is_looked_into(folder):
    url_to_fs("memory://opened")[0].put(str(folder), "/opened", recursive=True)
    found = find_cases("memory://opened")
    assert isinstance(found, CaseStore)
    assert found.num_cases(Split.TEST) == 4


def test_a_case_goes_with_its_labels_and_patient(folder):
    split = open_cases(folder, ["train"])["train"]
    packed = split.pack(RadDiagImageProcessor(image_size=16, max_slices=2))
    assert len(packed) == len(split)
    for case, labels, slices in zip(packed, split.labels, split.slice_counts(2), strict=True):
        np.testing.assert_array_equal(case["labels"][0], labels)
        assert len(case["pixel_values"]) == slices
    some = split.select(np.array([5, 2]), "validation")
    assert [row["case_id"] for row in some.rows] == list(some.metadata.case_ids)
    assert some.metadata.case_ids == ("case-5", "case-2")
    assert some.patient_ids == ("patient-2", "patient-1")
    np.testing.assert_array_equal(some.labels, split.labels[[5, 2]])
    np.testing.assert_array_equal(some.slice_counts(2), split.slice_counts(2)[[5, 2]])


def test_the_label_column_is_named_or_the_models(tmp_path):
    others = LabelSet(("Normal", "Hip fracture", "Pneumothorax"))
    write_store(
        tmp_path / "d", {Split.TRAIN: numbered(range(24))}, build_case=TwoColumns(),
        label_sets={"disorders": others, "icd10": LABELS},
    )  # fmt: skip
    with pytest.raises(CaseDataError, match=r"no label column was named .*one of disorders"):
        open_cases(tmp_path / "d")
    assert open_cases(tmp_path / "d", label_column="icd10").label_column == "icd10"
    assert open_cases(tmp_path / "d", config=config_of(LABELS)).label_column == "icd10"
    ordered = open_cases(tmp_path / "d", config=config_of(LABELS), label_column="disorders")
    assert (ordered.label_column, ordered.label_set.names) == ("disorders", LABELS.names)
    with pytest.raises(LabelMismatchError, match="the model has 1 labels"):
        open_cases(tmp_path / "d", config=config_of(LabelSet(("Gout",))))


@pytest.mark.parametrize("change", [str, lambda name: name.replace(" ", "\u00a0\u200b ")])
def test_equal_labels_in_another_order_are_put_into_the_models(folder, caplog, change):
    own = open_cases(folder)
    order = [2, 0, 1]
    names = tuple(change(LABELS.names[label]) for label in order)
    cases = open_cases(folder, config=config_of(LabelSet(names)))
    assert cases.label_set.names == names
    assert "another order" in caplog.text
    for split, one in cases.items():
        np.testing.assert_array_equal(one.labels, own[split].labels[:, order])
    train = cases["train"]
    packed = train.pack(RadDiagImageProcessor(image_size=16, max_slices=2))
    for case, labels in zip(packed, train.labels, strict=True):
        np.testing.assert_array_equal(case["labels"][0], labels)


def test_equal_labels_that_are_spelt_otherwise_are_the_models(folder, caplog):
    names = tuple(name.replace("i", "\u200bi") for name in LABELS.names)
    cases = open_cases(folder, config=config_of(LabelSet(names)))
    assert cases.label_set.names == names
    assert "another order" not in caplog.text


def test_the_most_frequent_labels_are_a_view(folder):
    whole = open_cases(folder)
    cases = open_cases(folder, label_column="labels:2")
    assert (cases.label_column, cases.label_set.names) == ("labels:2", LABELS.names[:2])
    assert (cases.label_set.codes, cases.label_set.train_counts) == (LABELS.codes[:2], (7, 7))
    train = cases["train"]
    assert len(train) == 14 < len(whole["train"])  # those that have one of the two
    assert train.labels.sum(1).min() == 1
    assert train.metadata.case_ids == tuple(train.rows["case_id"])
    packed = train.pack(RadDiagImageProcessor(image_size=16, max_slices=2))
    assert packed.packer.label_names == LABELS.names[:2]
    for case, labels in zip(packed, train.labels, strict=True):
        np.testing.assert_array_equal(case["labels"][0], labels)
    assert cases.fingerprint != whole.fingerprint
    assert cases.describe()["label_column"] == "labels:2"


def test_a_view_meets_a_model_where_it_is_named(folder):
    config = config_of(LabelSet(LABELS.names[:2]))
    with pytest.raises(LabelMismatchError, match="labels are those of labels:2: name it"):
        open_cases(folder, ["test"], config=config)
    test = open_cases(folder, ["test"], label_column="labels:2", config=config)["test"]
    assert (test.label_column, test.label_set.train_counts) == ("labels:2", (7, 7))
    with pytest.raises(LabelMismatchError, match="the model has 2 labels, the data set has 3"):
        open_cases(folder, label_column="labels", config=config)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labels:4", "label column labels:4: 4 labels are asked for, there are 3"),
        ("labels:0", "0 labels are asked for"),
        ("icd10:2", "no label column 'icd10'; expected one of labels"),
    ],
)
def test_a_view_that_there_cannot_be_is_refused(folder, name, message):
    with pytest.raises(CaseDataError, match=message):
        open_cases(folder, label_column=name)


def test_missing_validation_is_carved_from_training_by_patient(tmp_path):
    write_store(tmp_path / "d", {Split.TRAIN: numbered(range(40)), Split.TEST: {"case-50": 50}})
    cases = open_cases(tmp_path / "d").for_training(0.2, seed=3)
    assert not set(cases["train"].patient_ids) & set(cases["validation"].patient_ids)
    assert len(cases["train"]) + len(cases["validation"]) == 40
    assert cases.label_set.train_counts == tuple(cases["train"].label_counts)
    assert "set aside from the training split" in cases.validation_origin
    again = open_cases(tmp_path / "d").for_training(0.2, seed=3)
    assert again["validation"].metadata.case_ids == cases["validation"].metadata.case_ids
    assert again.fingerprint == cases.fingerprint
    assert list(open_cases(tmp_path / "d").for_training(None)) == ["train", "test"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({Split.TEST: numbered(range(4))}, "no training cases, only ['test']"),
        ({Split.TRAIN: numbered([2, 3])}, "cannot be shared by patient"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(tmp_path, items, message):
    write_store(tmp_path / "d", items)
    with pytest.raises(CaseDataError) as caught:
        open_cases(tmp_path / "d").for_training(0.2)
    assert str(tmp_path / "d") in str(caught.value)
    assert message in str(caught.value)


def test_training_cases_without_a_label_are_refused(tmp_path):
    class Unlabelled(CaseMaker):
        def __call__(self, number):
            return type(super().__call__(number))(make_case(number, labels={"labels": ()}))

    write_store(tmp_path / "d", {Split.TRAIN: numbered(range(8))}, build_case=Unlabelled())
    with pytest.raises(CaseDataError, match="no training case has a label in column 'labels'"):
        open_cases(tmp_path / "d").for_training()


def test_a_patient_in_two_splits_is_refused(folder, tmp_path):
    write_store(tmp_path / "d", {Split.TRAIN: numbered([3, 4]), Split.TEST: numbered([5])})
    with pytest.raises(CaseDataError, match="1 of 2 patients have cases in more than one split"):
        open_cases(tmp_path / "d")
    assert len(open_cases(tmp_path / "d", check_patients=False)) == 2
    with pytest.raises(CaseDataError, match="patients have cases in more than one split of train"):
        open_cases(folder, {"train": "train[:11]", "validation": "train[11:]"})


def test_what_is_no_data_set_is_one_error(folder, tmp_path):
    with pytest.raises(CaseDataError, match="cases: has no split 'tset', only train, validation"):
        open_cases(folder, ["tset"])
    with pytest.raises(CaseDataError, match="no label column 'icd10'; expected one of labels"):
        open_cases(folder, label_column="icd10")
    with pytest.raises(CaseDataError, match="no such folder"):
        open_cases(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaseDataError, match="empty: has no"):
        open_cases(tmp_path / "empty")
    with pytest.raises(CaseDataError, match="phantoms has no option 'num_cases'"):
        open_cases("phantoms", options={"num_cases": 2})
    with pytest.raises(CaseDataError, match=r"mine\.py: no such script"):
        open_cases("scripts/mine.py")
    with pytest.raises(ValueError, match="data_dir: expected a folder, found none"):
        open_cases("pocus")
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    shard = next(damaged.glob("data/test-*.parquet"))
    for content in (shard.read_bytes()[:-9], b"PAR1" + shard.read_bytes()[500:]):
        shard.write_bytes(content)
        with pytest.raises(CaseDataError, match="damaged: "):
            open_cases(damaged, ["test"])
    next(damaged.glob("label_sets/*.json")).write_text("{}")
    with pytest.raises(CaseDataError, match="is not a label set"):
        open_cases(damaged, ["test"])


def test_a_manifest_is_no_data_set_yet(tmp_path):
    (tmp_path / "manifest.csv").write_text("case_id,path\n")
    with pytest.raises(CaseDataError, match=r"manifest\.csv: is a file.*dataset import"):
        open_cases(tmp_path / "manifest.csv")


def test_only_counts_are_described(folder):
    described = open_cases(folder).describe()
    assert described["splits"]["test"] == {
        "cases": 4,
        "patients": 2,
        "scans": 9,
        "positives": {"Normal": 1, "Pneumothorax": 1, "Hip fracture": 2},
    }
    assert described["scans_by_modality"]["CT"] == 30
    assert "patient-" not in str(described)
    assert "case-" not in str(described)


def test_a_fingerprint_tells_contents_apart_and_not_places(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy" / "cases")
    first = open_cases(folder)
    assert open_cases(tmp_path / "copy" / "cases").fingerprint == first.fingerprint
    assert first["test"].fingerprint != first["train"].fingerprint

    def build(number):
        return type(CaseMaker()(number))(make_case(number, patient_id=f"somebody-{number}"))

    items = {split: numbered(numbers) for split, numbers in SPLITS.items()}
    write_store(tmp_path / "other" / "cases", items, build_case=build)
    other = open_cases(tmp_path / "other" / "cases")
    assert other["test"].metadata.case_ids == first["test"].metadata.case_ids
    assert other["test"].patient_ids[0] == "somebody-26"
    assert other.fingerprint != first.fingerprint


OPEN = """
import json, sys
from raddiag_hf.data.opening import count_labels, find_cases, open_cases

for dataset, source in json.loads(sys.argv[1]):
    try:
        cases = open_cases(dataset, ["test"], **source)
        answer = [cases.location, *cases["test"].metadata.case_ids, cases.label_set.codes[1]]
    except ValueError as error:
        answer = f"{type(error).__name__}: {error}"
    print("ANSWER", json.dumps(answer))
"""


def test_the_hub_gives_one_split_to_those_it_knows(folder, tmp_path):
    questions = [
        ("alice/cases", {"token": "hf_alice"}),
        ("hf://datasets/alice/cases", {"token": "hf_alice\n"}),
        ("alice/cases", {"token": "hf_alice", "revision": "main"}),
        ("alice/cases", {"token": "hf_wrong"}),
        ("alice/absent", {"token": "hf_alice"}),
    ]
    with HubStandIn(tokens={"hf_alice": "alice"}) as hub:
        hub.add("dataset", "alice/cases", contents(folder), gated=True)
        run = subprocess.run(
            [sys.executable, "-c", OPEN, json.dumps(questions)],
            env=os.environ | hub.environment(cache=tmp_path / "hub"),
            capture_output=True,
            text=True,
            check=False,
        )
        asked = {request.path for request in hub.requests}
    assert run.returncode == 0, run.stderr
    answers = [
        json.loads(line.removeprefix("ANSWER "))
        for line in run.stdout.splitlines()
        if line.startswith("ANSWER ")
    ]
    cases = [f"case-{number}" for number in SPLITS[Split.TEST]]
    assert answers[0] == answers[1] == ["alice/cases", *cases, "J93"]
    assert answers[2] == ["alice/cases@main", *cases, "J93"]
    assert "alice/cases: the Hub refused the token" in answers[3]
    assert "alice/absent: no such folder or builder here" in answers[4]
    assert any("resolve" in path and "data/test-00000" in path for path in asked)
    assert not any("resolve" in path and "data/validation-00000" in path for path in asked)


@pytest.mark.parametrize("column", ["labels", "labels:2"])
def test_labels_are_counted_over_all_splits(folder, column):
    test = open_cases(folder, ["test"], label_column=column)["test"]
    assert count_labels(folder, test) == (10, 10, 10)[: len(test.label_set)]
