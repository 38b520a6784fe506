"""An evaluation taken apart: by modality, by anatomy, and normal against abnormal."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from raddiag_hf.evaluation.breakdown import break_down
from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions
from tests.fixtures.prediction_tables import make_predictions


@pytest.fixture
def table():
    return make_predictions()


def test_a_modality_has_the_metrics_of_its_own_cases(table):
    decided = expit(table.logits) >= 0.3
    breakdown = break_down(table, decisions=decided, groups={"head": np.array([0, 1])})
    rows = np.array(["MRI" in modalities for modalities in table.modalities])
    (mri,) = [subgroup for subgroup in breakdown.by_modality if subgroup.name == "MRI"]
    expected = evaluate_predictions(
        table.labels[rows],
        table.logits[rows],
        thresholds=[0.3] * 6,
        groups={"head": [0, 1]},
    )
    assert mri.result.num_cases == rows.sum()
    assert mri.result.group_table() == expected.group_table()


def test_a_case_counts_in_each_of_its_modalities_and_in_one_anatomy(table):
    breakdown = break_down(table)
    by_modality = {one.name: one.result.num_cases for one in breakdown.by_modality}
    assert by_modality["CT"] + by_modality["MRI"] + by_modality["X-ray"] > len(table)
    assert list(by_modality.values()) == sorted(by_modality.values(), reverse=True)
    by_anatomy = {one.name: one.result.num_cases for one in breakdown.by_anatomy}
    assert sum(by_anatomy.values()) == len(table)
    assert set(by_anatomy) == {"Chest", "Spine", "Unknown"}


def test_normal_against_abnormal_leaves_out_cases_without_labels(table):
    breakdown = break_down(table)
    everywhere, *regions = breakdown.normal_abnormal
    is_labelled = table.labels.any(axis=1)
    assert 0 < is_labelled.sum() < len(table)
    normal, scores = table.labels[is_labelled, 0], table.logits[is_labelled, 0]
    assert (breakdown.normal_label, everywhere.name) == ("Normal", "all")
    assert everywhere.result.num_cases == is_labelled.sum()
    assert everywhere.result.per_class["auc"][0] == pytest.approx(roc_auc_score(normal, scores))
    expected = average_precision_score(normal, scores)
    assert everywhere.result.per_class["ap"][0] == pytest.approx(expected)
    assert sum(region.result.num_cases for region in regions) == is_labelled.sum()


def test_without_a_normal_label_there_is_nothing_to_tell_apart(table):
    names = ("Tumour", *table.label_names[1:])
    breakdown = break_down(replace(table, label_names=names))
    assert (breakdown.normal_label, breakdown.normal_abnormal) == (None, ())


def test_patients_are_those_of_the_subgroup(table):
    bootstrap = BootstrapSettings(resamples=50, patient_ids=table.patient_ids)
    breakdown = break_down(table, bootstrap=bootstrap)
    spine = next(one for one in breakdown.by_anatomy if one.name == "Spine")
    rows = [row for row, anatomy in enumerate(table.anatomies) if anatomy == "Spine"]
    assert spine.num_patients == len({table.patient_ids[row] for row in rows})
    assert spine.result.intervals.resampled_unit == "patient"
    low = spine.result.intervals.macro["all"]["auc"].low
    assert 0 < low < spine.result.groups["all"].values["auc"]


def test_a_subgroup_of_one_case_is_there_without_values(table):
    anatomies = ("Breast", *["Chest"] * (len(table) - 1))
    bootstrap = BootstrapSettings(resamples=20, patient_ids=table.patient_ids)
    content = break_down(replace(table, anatomies=anatomies), bootstrap=bootstrap).to_dict()
    breast = content["anatomy"][-1]
    assert (breast["name"], breast["cases"], breast["groups"]["evaluated"]) == ("Breast", 1, [0])
    assert breast["groups"]["auc"] == breast["groups"]["auc_low"] == [None]


def test_the_record_is_json_with_counts_and_intervals(table):
    content = break_down(table, bootstrap=BootstrapSettings(resamples=20)).to_dict()
    json.dumps(content, allow_nan=False)
    row = content["normal_abnormal"][0]
    assert row["normal"] == table.labels[:, 0].sum()
    assert row["auc_low"] <= row["auc"] <= row["auc_high"]


def test_every_subgroup_is_reported(table):
    seen = []
    break_down(table, progress=lambda _, done, total: seen.append((done, total)))
    assert seen == [(done, 10) for done in range(1, 11)]


def test_normal_against_abnormal_leaves_out_cases_of_which_it_is_unknown(table):
    unknown = np.zeros_like(table.labels)
    unknown[:60, 0] = ~table.labels[:60, 0]
    found = break_down(replace(table, unknown=unknown)).normal_abnormal[0].result
    rows = table.labels.any(1) & ~unknown[:, 0]
    assert found.num_cases == rows.sum()
    auc = roc_auc_score(table.labels[rows, 0], table.logits[rows, 0])
    assert found.per_class["auc"][0] == pytest.approx(auc)


def test_subgroups_count_a_case_only_where_its_label_is_known(table):
    unknown = (np.random.default_rng(0).random(table.labels.shape) < 0.3) & ~table.labels
    breakdown = break_down(replace(table, unknown=unknown))
    (mri,) = [subgroup for subgroup in breakdown.by_modality if subgroup.name == "MRI"]
    rows = np.array(["MRI" in modalities for modalities in table.modalities])
    np.testing.assert_array_equal(mri.result.known_cases, (~unknown[rows]).sum(0))
