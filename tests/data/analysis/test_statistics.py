import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from raddiag_hf.data.analysis.statistics import case_statistics
from raddiag_hf.data.analysis.statistics_figures import draw_labels
from raddiag_hf.data.store.case_metadata import CaseMetadata, read_metadata
from raddiag_hf.data.store.scan_record import ANATOMIES, MODALITIES
from raddiag_hf.labels.bands import CountedCases
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.cases import write_store

NAMES = ("Normal", "Mass", "Nodule")


def metadata_of(cases, names=NAMES):
    """Metadata of (labels, modalities of the scans, anatomy) triples."""
    labels = np.zeros((len(cases), len(names)), dtype=bool)
    for row, (case_labels, _, _) in enumerate(cases):
        labels[row, [names.index(label) for label in case_labels]] = True
    ids = tuple(str(row) for row in range(len(cases)))
    return CaseMetadata(
        splits=("train",) * len(cases),
        case_ids=ids,
        patient_ids=ids,
        anatomies=np.array([ANATOMIES.index(anatomy) for _, _, anatomy in cases]),
        label_names={"labels": names},
        labels={"labels": csr_array(labels)},
        scan_cases=np.repeat(np.arange(len(cases)), [len(scans) for _, scans, _ in cases]),
        scan_modalities=np.array([MODALITIES.index(one) for _, scans, _ in cases for one in scans]),
        scan_anatomies=np.array([0 for _, scans, _ in cases for _ in scans]),
        scan_depths=np.array([2 for _, scans, _ in cases for _ in scans]),
        scan_studies=np.array(["" for _, scans, _ in cases for _ in scans], object),
    )


CT, MRI = Modality.CT, Modality.MRI
CASES = [
    (["Mass"], [CT, CT, MRI], Anatomy.CHEST),
    (["Mass", "Normal"], [CT], Anatomy.CHEST),
    (["Normal"], [MRI], Anatomy.SPINE),
    ([], [CT], Anatomy.SPINE),
]


def test_a_case_counts_once_for_each_of_its_modalities():
    statistics = case_statistics(metadata_of(CASES))
    assert statistics.abnormal.modalities == {"CT": 2, "MRI": 1}
    assert statistics.scans_per_case == {1: 3, 3: 1}
    assert statistics.modalities_per_case == {1: 3, 2: 1}


def test_cases_are_abnormal_normal_or_unlabelled():
    statistics = case_statistics(metadata_of(CASES))
    assert statistics.abnormal.anatomies == {"Chest": 2}
    assert statistics.normal.anatomies == {"Spine": 1}
    assert statistics.normal.modalities == {"MRI": 1}
    assert (statistics.normal.cases, statistics.unlabelled.cases) == (1, 1)


def test_the_normal_labels_can_be_named():
    statistics = case_statistics(metadata_of(CASES), normal_labels={"mass"})
    assert statistics.abnormal.cases == 2
    assert statistics.normal.cases == 1


def test_labels_are_ranked_and_grouped():
    cases = [(["Mass"], [CT], Anatomy.CHEST)] * 100 + [(["Nodule"], [CT], Anatomy.CHEST)] * 30
    labels = case_statistics(metadata_of(cases)).labels["labels"]
    assert list(labels.counts.items()) == [("Mass", 100), ("Nodule", 30), ("Normal", 0)]
    assert labels.groups == {"head": 1, "body": 1, "tail": 1}


def test_groups_are_those_of_the_training_cases(tmp_path):
    store = write_store(tmp_path / "store")
    labels = case_statistics(read_metadata(store)).labels["labels"]
    assert labels.counts == {"Normal": 16, "Pneumothorax": 15, "Hip fracture": 15}
    assert labels.train_counts == {"Normal": 14, "Pneumothorax": 13, "Hip fracture": 13}
    groups = [band.value for band in store.label_sets["labels"].bands()]
    assert labels.groups == {name: groups.count(name) for name in ("head", "body", "tail")}


def test_groups_of_the_whole_data_set_and_the_legend_that_says_so():
    splits = ("train",) * 20 + ("test",) * 10
    metadata = replace(metadata_of([(["Mass"], [CT], Anatomy.CHEST)] * 30), splits=splits)
    training = case_statistics(metadata).labels["labels"]
    whole = case_statistics(metadata, counted=CountedCases.WHOLE)
    assert (training.groups["tail"], whole.labels["labels"].groups["body"]) == (3, 1)
    (legend,) = [axes.get_legend() for axes in draw_labels(whole).axes]
    assert legend.get_texts()[0].get_text().startswith("Head (100 cases of the whole data set or")


def test_without_a_training_split_there_are_no_groups():
    metadata = replace(metadata_of(CASES), splits=("test",) * len(CASES))
    labels = case_statistics(metadata).labels["labels"]
    assert (labels.train_counts, labels.groups) == ({}, {})
    assert labels.counts == {"Mass": 2, "Normal": 2, "Nodule": 0}


def test_totals_are_those_of_the_data_set(tmp_path):
    statistics = case_statistics(read_metadata(write_store(tmp_path / "store")))
    assert (statistics.cases, statistics.patients) == (46, 23)
    assert statistics.scans == sum(1 + number % 3 for number in range(46))
    assert statistics.slices == 3 * statistics.scans
    assert statistics.cases_per_split == {"train": 40, "test": 6}
    assert statistics.normal.cases == 16


def test_every_label_column_is_counted_and_one_is_enough_to_be_abnormal():
    metadata = metadata_of([(["Normal"], [CT], Anatomy.CHEST)])
    metadata.labels["icd10"] = csr_array(np.array([[True]]))
    metadata.label_names["icd10"] = ("J93",)
    statistics = case_statistics(metadata)
    assert statistics.abnormal.cases == 1
    assert statistics.labels["icd10"].counts == {"J93": 1}


def test_json_holds_everything():
    content = json.loads(case_statistics(metadata_of(CASES)).to_json())
    assert content["cases"] == 4
    assert content["scans_per_case"] == {"1": 3, "3": 1}
    assert content["labels"]["labels"]["groups"]["tail"] == 3


@pytest.mark.parametrize("name", ["No Finding", "normal", "NORMAL"])
def test_usual_names_of_normal_are_known(name):
    cases = [([name], [CT], Anatomy.CHEST)]
    assert case_statistics(metadata_of(cases, (name, "Mass"))).normal.cases == 1
