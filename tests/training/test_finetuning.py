"""Fine-tuning end to end, on cases whose labels can be seen."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.checkpoints.loading import load_model, read_model
from raddiag_hf.checkpoints.training_kinds import TrainingKind
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.evaluation.evaluation_folder import FILE_FORMAT, METRICS_FILE
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.inference.embedding import embed_scans
from raddiag_hf.metrics.decision_rule import DecisionRule
from raddiag_hf.training.finetune_settings import (
    FinetuneError,
    FinetuneSettings,
    Fusion,
    Method,
)
from raddiag_hf.training.finetuning import RECORD_FILE, finetune
from raddiag_hf.training.record import TrainingRecord
from raddiag_hf.vocabulary import Anatomy, Modality, Split
from tests.fixtures.cases import LABELS, numbered, write_store
from tests.fixtures.finetuning import ON_CPU, SETTINGS, visible_case, write_visible_store
from tests.fixtures.saved_models import save_tiny_model


@pytest.mark.parametrize("method", Method)
def test_each_method_learns_what_can_be_seen(finished, method):
    record, output = finished(method)
    table = record.metrics["groups"]
    assert table["auc"][table["group"].index("all")] > 0.8
    assert record.metrics["num_cases"] == 30
    assert record.metrics["bootstrap"]["resampled_unit"] == "patient"
    metrics = json.loads((output / METRICS_FILE).read_text())
    assert metrics == {"format": FILE_FORMAT, **record.metrics}
    assert TrainingRecord.from_json((output / RECORD_FILE).read_text()) == record


@pytest.mark.parametrize("method", Method)
def test_the_saved_folder_diagnoses(finished, method):
    record, output = finished(method)
    loaded = load_model(str(output), device="cpu")
    scan = visible_case(92).case.scans[0].scan
    diagnosis = diagnose_case(loaded.model, loaded.processor, [scan])
    assert {finding.label for finding in diagnosis.findings} == set(LABELS.names)
    assert [finding.predicted for finding in diagnosis.findings] == [True, False, False]
    assert diagnosis.provenance.threshold_source == record.threshold_source


@pytest.mark.parametrize("method", Method)
def test_the_model_tells_what_it_was_trained_on(finished, method):
    record, output = finished(method)
    domain = load_model(str(output), device="cpu").domain
    assert domain.kinds.kinds == (TrainingKind(Modality.CT, Anatomy.CHEST, scans=60, cases=60),)
    assert list(record.training_kinds) == domain.kinds.to_list()
    assert record.ood_score == {
        "training_scans": 60,
        "validation_cases": 30,
        "alarm_rate": 0.05,
        "test_cases": 30,
        "test_alarms": record.ood_score["test_alarms"],
    }


@pytest.mark.parametrize("method", Method)
def test_embeddings_of_the_training_are_those_of_the_saved_model(finished, method):
    """By every method, what was fitted at its end is what a diagnosis compares with."""
    record, output = finished(method)
    loaded = load_model(str(output), device="cpu")
    known = loaded.domain.embeddings
    scans = [visible_case(number).case.scans[0].scan for number in range(60)]
    embeddings = [embed_scans(loaded.model, loaded.processor, [scan])[0] for scan in scans]
    np.testing.assert_allclose(torch.stack(embeddings).mean(0), known.mean, atol=1e-4)
    tests = [visible_case(number).case.scans[0].scan for number in range(90, 120)]
    found = [embed_scans(loaded.model, loaded.processor, [scan]).numpy() for scan in tests]
    alarms = sum(bool(known.distances(one)[0] > known.limit) for one in found)
    assert alarms == record.ood_score["test_alarms"] <= 6


def test_a_model_without_the_score_can_be_asked_for(base, data, tmp_path):
    settings = FinetuneSettings(Method.LINEAR_PROBE, ood_score=False, **ON_CPU)
    record = finetune(str(base), data, tmp_path / "out", settings)
    domain = load_model(str(tmp_path / "out"), device="cpu").domain
    assert (record.ood_score, domain.embeddings) == (None, None)


@pytest.mark.parametrize("method", [Method.LINEAR_PROBE, Method.FULL])
def test_the_saved_folder_loads_with_auto_classes(finished, method):
    _, output = finished(method)
    model = AutoModelForImageClassification.from_pretrained(output)
    assert tuple(model.config.id2label.values()) == LABELS.names
    assert model.config.label_set_fingerprint == LABELS.fingerprint


def assert_metrics_are_those_of_the_saved_model(record, output, data):
    loaded = read_model(str(output))
    config = loaded.model.config
    assert config.classifier_type == "probe"
    from datasets import load_dataset

    from raddiag_hf.data.batches.training_cases import CasePacker
    from raddiag_hf.metrics import evaluate_predictions

    rows = load_dataset(str(data), split="test")
    packer = CasePacker(rows.features, loaded.processor)
    logits, labels = [], []
    for row in rows:
        batch = packer(row)
        labels.append(batch.pop("labels")[0].numpy())
        with torch.no_grad():
            logits.append(loaded.model(**batch).logits[0].numpy())
    rule = DecisionRule.of_model(config)
    found = evaluate_predictions(
        np.array(labels), rule.calibrated(logits), decisions=rule.decide(logits)
    )
    for metric in ("auc", "ap", "f1", "mcc"):
        expected = record.metrics["groups"][metric][-1]
        assert found.groups["all"].values[metric] == pytest.approx(expected, abs=1e-6), metric


def test_the_probe_predicts_the_logits_that_were_evaluated(finished, data):
    record, output = finished(Method.LINEAR_PROBE)
    assert_metrics_are_those_of_the_saved_model(record, output, data)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Cases of one to three scans."""
    folder = tmp_path_factory.mktemp("studies") / "cases"
    write_store(
        folder,
        {
            Split.TRAIN: numbered(range(30)),
            Split.VALIDATION: numbered(range(30, 48)),
            Split.TEST: numbered(range(48, 78)),
        },
    )
    return folder


@pytest.mark.parametrize("fusion_type", ["transformer", "attention", "mean", "max", "random"])
def test_a_probe_that_fuses_late_is_judged_by_its_fused_predictions(studies, tmp_path, fusion_type):
    """The transformer is skipped, which leaves the mean."""
    base = save_tiny_model(tmp_path / "base", fusion_type=fusion_type)
    settings = FinetuneSettings(Method.LINEAR_PROBE, fusion=Fusion.SKIP, **ON_CPU)
    record = finetune(str(base), studies, tmp_path / "out", settings)
    assert read_model(str(tmp_path / "out")).model.config.fusion_type != "transformer"
    assert_metrics_are_those_of_the_saved_model(record, tmp_path / "out", studies)


@pytest.mark.parametrize("method", Method)
def test_probabilities_of_exclusive_labels_sum_to_1(finished, method):
    _, output = finished(method)
    loaded = load_model(str(output), device="cpu")
    assert loaded.model.config.has_exclusive_labels
    scan = visible_case(92).case.scans[0].scan
    diagnosis = diagnose_case(loaded.model, loaded.processor, [scan])
    assert sum(one.probability for one in diagnosis.findings) == pytest.approx(1)


def test_every_label_is_learnt_by_itself_if_asked_for(base, data, tmp_path):
    settings = FinetuneSettings(Method.LINEAR_PROBE, exclusive=False, **ON_CPU)
    record = finetune(str(base), data, tmp_path / "out", settings)
    assert record.head == "logistic regression"
    assert not read_model(str(tmp_path / "out")).model.config.has_exclusive_labels


def unlabelled_case(number):
    """Every fifth case is of unknown labels."""
    case = visible_case(number).case
    if number % 5 == 0:
        case = replace(case, labels={"labels": ()}, unknown_labels={"labels": LABELS.names})
    return BuiltCase(case)


def test_cases_of_unknown_labels_are_left_out_and_counted(base, tmp_path):
    splits = {Split.TRAIN: range(60), Split.VALIDATION: range(60, 90), Split.TEST: range(90, 120)}
    write_store(
        tmp_path / "d",
        {split: numbered(one) for split, one in splits.items()},
        build_case=unlabelled_case,
        unknown_in=("labels",),
    )
    record = finetune(str(base), tmp_path / "d", tmp_path / "o", SETTINGS[Method.LINEAR_PROBE])
    assert "24 cases were left out, of which no label is known" in record.notes
    assert record.metrics["num_cases"] == 24
    assert record.data["splits"]["train"]["cases"] == 48
    table = record.metrics["groups"]
    assert table["auc"][table["group"].index("all")] > 0.8


def test_single_scan_data_skip_the_fusion(finished):
    record, output = finished(Method.LINEAR_PROBE)
    assert record.fusion == "skipped: every case has one scan"
    assert read_model(str(output)).model.config.fusion_type == "mean"


def test_thresholds_come_from_validation_alone(base, finished, tmp_path):
    """Other test cases: the same thresholds, the same temperature, other metrics."""
    write_visible_store(tmp_path / "other", tests_from=200, test=12)
    record = finetune(
        str(base), tmp_path / "other", tmp_path / "out", SETTINGS[Method.LINEAR_PROBE]
    )
    configs = [
        read_model(str(folder)).model.config
        for folder in (tmp_path / "out", finished(Method.LINEAR_PROBE)[1])
    ]
    assert configs[0].decision_thresholds == configs[1].decision_thresholds
    assert configs[0].calibration_temperature == configs[1].calibration_temperature
    assert record.metrics["num_cases"] == 12
    assert "30 validation cases" in record.threshold_source


def test_thresholds_are_chosen_by_the_rule_that_was_named(base, tmp_path):
    write_visible_store(tmp_path / "cases", train=24, validation=12, test=0)
    settings = replace(SETTINGS[Method.LINEAR_PROBE], threshold_rule="f1", exclusive=False)
    record = finetune(str(base), tmp_path / "cases", tmp_path / "out", settings)
    assert "the paper's rule) on 12 validation cases; 3 classes have" in record.threshold_source
    assert record.hyperparameters["threshold_rule"] == "f1"


def test_without_a_test_split_nothing_is_evaluated(base, tmp_path):
    write_visible_store(tmp_path / "d", test=0)
    settings = SETTINGS[Method.LINEAR_PROBE]
    record = finetune(str(base), tmp_path / "d", tmp_path / "out", settings)
    assert record.metrics is None
    assert not (tmp_path / "out" / METRICS_FILE).exists()
    assert any("no test split" in note for note in record.notes)


def test_adapters_are_not_merged_into_a_base_that_has_changed(finished, base, tmp_path):
    output = Path(shutil.copytree(finished(Method.LORA)[1], tmp_path / "out"))
    changed = save_tiny_model(tmp_path / "base", seed=1)
    config = json.loads((output / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(base)
    config["base_model_name_or_path"] = str(changed)
    (output / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelSourceError, match="trained on other weights than"):
        read_model(str(output))
    shutil.copytree(base, changed, dirs_exist_ok=True)
    read_model(str(output))


def test_adapters_to_adapters_are_refused_before_training(finished, data, tmp_path):
    adapters = finished(Method.LORA)[1]
    with pytest.raises(FinetuneError, match="adapters to adapters cannot be loaded"):
        finetune(str(adapters), data, tmp_path / "out", SETTINGS[Method.LORA])
    assert not (tmp_path / "out").exists()
    record = finetune(str(adapters), data, tmp_path / "out", SETTINGS[Method.LINEAR_PROBE])
    assert record.head == "logistic regression, with a softmax over exclusive labels"


def test_a_modality_that_the_model_does_not_know_is_refused(base, data, tmp_path):
    folder = save_tiny_model(tmp_path / "narrow")
    slots = RadDiagImageProcessor(image_size=32, max_slices=8).modality_slots
    only_mri = {name: value for name, value in slots.items() if "MRI" in str(name)}
    RadDiagImageProcessor(image_size=32, max_slices=8, modality_slots=only_mri).save_pretrained(
        folder
    )
    with pytest.raises(FinetuneError, match="has scans of CT, but the model has a slot only for"):
        finetune(str(folder), data, tmp_path / "out", SETTINGS[Method.LINEAR_PROBE])
