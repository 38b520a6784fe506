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
from raddiag_hf.checkpoints.loaded_model import LabelTextsMissingError
from raddiag_hf.checkpoints.loading import load_model, read_model
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.core.run_folder import RunFolder, RunFolderError, RunInProgressError
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.evaluation.evaluation_folder import FILE_FORMAT, METRICS_FILE
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.metrics.decision_rule import DecisionRule
from raddiag_hf.model.label_texts import LabelTextError
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training.finetune_settings import (
    FinetuneError,
    FinetuneSettings,
    Fusion,
    Head,
    Method,
)
from raddiag_hf.training.finetuning import RECORD_FILE, WORK_FOLDER, finetune
from raddiag_hf.training.model_adaptation import adapt_model, plan_adaptation
from raddiag_hf.training.record import TrainingRecord
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, numbered, write_store
from tests.fixtures.finetuning import visible_case, write_visible_store
from tests.fixtures.models import tiny_config, tiny_model
from tests.fixtures.saved_models import label_names, save_tiny_model
from tests.fixtures.text_encoders import tiny_text_encoder

FAST = {
    "num_workers": 0,
    "device": "cpu",
    "num_epochs": 4,
    "batch_size": 12,
    "augmentation": "none",
}
SETTINGS = {
    Method.ATTENTIVE_PROBE: FinetuneSettings(Method.ATTENTIVE_PROBE, **FAST),
    Method.LINEAR_PROBE: FinetuneSettings(Method.LINEAR_PROBE, **FAST),
    Method.LORA: FinetuneSettings(Method.LORA, learning_rate=1e-2, lora_rank=4, **FAST),
    Method.FULL: FinetuneSettings(
        Method.FULL, learning_rate=1e-2, layer_decay=1.0, **(FAST | {"num_epochs": 6})
    ),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    write_visible_store(folder)
    return folder


@pytest.fixture(scope="module")
def finished(base, data, tmp_path_factory):
    """The output of every method, by method, made when it is asked for."""
    outputs = {}

    def run(method):
        if method not in outputs:
            output = tmp_path_factory.mktemp(method) / "out"
            outputs[method] = (finetune(str(base), data, output, SETTINGS[method]), output)
        return outputs[method]

    return run


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
    settings = FinetuneSettings(Method.LINEAR_PROBE, fusion=Fusion.SKIP, **FAST)
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
    settings = FinetuneSettings(Method.LINEAR_PROBE, exclusive=False, **FAST)
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


class Killed(BaseException):
    """Stands for a kill: nothing handles it."""


@pytest.mark.parametrize(("method", "step"), [(Method.FULL, 17), (Method.LORA, 11)])
def test_a_killed_run_ends_with_the_same_weights(finished, base, data, tmp_path, method, step):
    def kill(what, done, total):
        if done == step:
            raise Killed

    output = tmp_path / "out"
    with pytest.raises(Killed):
        finetune(str(base), data, output, SETTINGS[method], progress=kill)
    assert not (output / RECORD_FILE).exists()
    record = finetune(str(base), data, output, SETTINGS[method])
    expected_record, undisturbed = finished(method)
    expected = read_model(str(undisturbed)).model.state_dict()
    for name, weight in read_model(str(output)).model.state_dict().items():
        assert torch.equal(weight, expected[name]), name
    assert record == expected_record


@pytest.mark.parametrize(("method", "rate"), [(Method.FULL, 0.5), (Method.LORA, 0.1)])
def test_a_run_killed_after_its_last_epoch_trains_no_further(
    base, data, tmp_path, monkeypatch, method, rate
):
    """Training stops early here; what is left are thresholds, evaluation and saving."""
    settings = FinetuneSettings(
        method, learning_rate=rate, patience=1, exclusive=False, **(FAST | {"num_epochs": 9})
    )
    undisturbed = finetune(str(base), data, tmp_path / "undisturbed", settings)
    assert "of 9, by" not in undisturbed.selection, "it has to stop early"

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("raddiag_hf.training.driver._choose_decisions", kill)
        with pytest.raises(Killed):
            finetune(str(base), data, tmp_path / "out", settings)
    steps = []
    record = finetune(
        str(base),
        data,
        tmp_path / "out",
        settings,
        progress=lambda *step: steps.append(step),
    )
    assert steps == []
    assert record == undisturbed
    expected = read_model(str(tmp_path / "undisturbed")).model.state_dict()
    for name, weight in read_model(str(tmp_path / "out")).model.state_dict().items():
        assert torch.equal(weight, expected[name]), name


def test_features_are_extracted_once(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.training.methods.features.SHARD_CASES", 16)
    settings, output = SETTINGS[Method.LINEAR_PROBE], tmp_path / "out"

    def kill(what, done, total):
        if done > 32:
            raise Killed

    with pytest.raises(Killed):
        finetune(str(base), data, output, settings, progress=kill)
    shards = sorted((output / WORK_FOLDER).rglob("*.safetensors"))
    assert len(shards) == 2
    written = [shard.stat().st_mtime_ns for shard in shards]
    finetune(str(base), data, output, settings)
    assert [shard.stat().st_mtime_ns for shard in shards] == written


def test_a_finished_run_is_left_and_another_one_refused(finished, base, data):
    record, output = finished(Method.LINEAR_PROBE)
    weights = (output / "model.safetensors").stat().st_mtime_ns
    assert finetune(str(base), data, output, SETTINGS[Method.LINEAR_PROBE]) == record
    assert (output / "model.safetensors").stat().st_mtime_ns == weights
    other = FinetuneSettings(Method.LINEAR_PROBE, penalties=(3.0,), **FAST)
    with pytest.raises(RunFolderError, match="holds a run that differs in penalties"):
        finetune(str(base), data, output, other)


def test_a_foreign_folder_is_not_written_to(base, data, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        finetune(str(base), data, tmp_path, SETTINGS[Method.LINEAR_PROBE])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_run_into_the_same_folder_is_told(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.core.run_folder.PATIENCE_S", 0.1)
    output = tmp_path / "out"
    with (
        RunFolder(output, work=output / WORK_FOLDER).lock(),
        pytest.raises(RunInProgressError, match="out: another run is at work there"),
    ):
        finetune(str(base), data, output, SETTINGS[Method.LINEAR_PROBE])


@pytest.fixture
def copied(finished, tmp_path):
    """The output of a linear probe, to damage."""
    return Path(shutil.copytree(finished(Method.LINEAR_PROBE)[1], tmp_path / "out"))


def test_a_finished_run_whose_weights_are_gone_is_made_again(finished, base, data, copied, caplog):
    (copied / "model.safetensors").unlink()
    record = finetune(str(base), data, copied, SETTINGS[Method.LINEAR_PROBE])
    assert record == finished(Method.LINEAR_PROBE)[0]
    assert "is gone, so the run is made again" in caplog.text
    read_model(str(copied))


@pytest.mark.parametrize("file", [f"{WORK_FOLDER}/run.json", RECORD_FILE])
@pytest.mark.parametrize("content", ['{"model": "ab', "[1]"])
def test_what_tells_of_a_run_and_is_damaged_is_one_error(base, data, copied, file, content):
    (copied / file).write_text(content)
    with pytest.raises(RunFolderError, match="is damaged") as caught:
        finetune(str(base), data, copied, SETTINGS[Method.LINEAR_PROBE])
    assert str(copied / file) in str(caught.value)


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


def plan(
    model, method=Method.FULL, labels=LABELS, is_single_scan=False, is_exclusive=False, **options
):
    settings = FinetuneSettings(method, **options)
    adaptation = plan_adaptation(
        model.config, labels, is_single_scan, settings, is_exclusive=is_exclusive
    )
    return adaptation, settings


def test_an_equal_label_set_keeps_the_classifier():
    names = label_names()
    model = tiny_model(**names)
    labels = LabelSet(tuple(names["id2label"].values()))
    adaptation, settings = plan(model, labels=labels, is_single_scan=True)
    assert adaptation.head == "the model's own"
    assert not adaptation.skips_fusion, "the classifier knows fused embeddings"
    adapted = adapt_model(model, adaptation, labels, 60, settings)
    assert torch.equal(adapted.classifier.fc2.weight, model.classifier.fc2.weight)


EXCLUSIVE = {"problem_type": "single_label_classification"}
OWN = LabelSet(tuple(label_names()["id2label"].values()))


@pytest.mark.parametrize(
    ("fields", "labels", "asked", "expected"),
    [
        ({}, LABELS, {}, True),
        ({}, LABELS, {"exclusive": False}, False),
        ({"classification_loss": "focal"}, LABELS, {}, False),
        ({"classification_loss": "focal"}, LABELS, {"method": Method.LINEAR_PROBE}, True),
        ({"fusion_type": "max"}, LABELS, {}, False),
        (label_names(), OWN, {}, False),
        (label_names() | EXCLUSIVE, OWN, {}, True),
    ],
)
def test_a_new_classifier_is_exclusive_where_the_data_are(fields, labels, asked, expected):
    """And the model allows it; a classifier that is kept stays what it is."""
    model = tiny_model(**fields)
    adaptation, settings = plan(model, labels=labels, is_exclusive=True, **asked)
    assert adaptation.is_exclusive is expected
    adapted = adapt_model(model, adaptation, labels, 60, settings)
    assert adapted.config.has_exclusive_labels is expected


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        (
            label_names() | EXCLUSIVE,
            {"labels": OWN},
            "the labels of the model are exclusive, but the data set",
        ),
        ({"fusion_type": "max"}, {"exclusive": True}, "takes the highest prediction"),
        ({"classification_loss": "focal"}, {"exclusive": True}, "trained with the loss focal"),
    ],
)
def test_labels_that_cannot_be_exclusive_are_refused(fields, options, message):
    with pytest.raises(FinetuneError, match=message):
        plan(tiny_model(**fields), **options)


def test_a_new_label_set_keeps_all_but_the_last_layer():
    model = tiny_model(decision_thresholds=[0.5] * 5, calibration_temperature=2.0)
    adaptation, settings = plan(model)
    adapted = adapt_model(model, adaptation, LABELS, 60, settings)
    kept, new = adapted.state_dict(), model.state_dict()
    differing = {name for name in kept if not torch.equal(kept[name], new[name])}
    assert differing == {"classifier.fc2.weight", "classifier.fc2.bias"}
    assert adapted.config.decision_thresholds is None
    assert adapted.config.calibration_temperature == 1.0
    assert adapted.config.freeze_batch_norm


@pytest.mark.parametrize("labels", [LABELS, LabelSet(tuple("abcde"))])
def test_a_loss_that_counts_gets_the_counts_of_the_new_cases(labels):
    """Of as many labels or of others: the old counts say nothing of the new data."""
    model = tiny_model(
        classification_loss="logit_adjusted",
        train_label_counts=[1, 2, 3, 4, 5],
        num_train_cases=9,
    )
    counted = labels.with_counts({Split.TRAIN: [20] * len(labels)})
    for method, loss in ((Method.FULL, "logit_adjusted"), (Method.LINEAR_PROBE, "bce")):
        adaptation, settings = plan(model, method, labels=counted)
        config = adapt_model(model, adaptation, counted, 60, settings).config
        assert config.train_label_counts == [20] * len(labels)
        assert config.num_train_cases == 60
        assert config.classification_loss == loss


@pytest.mark.parametrize(
    ("fusion", "is_single_scan", "skips"),
    [
        (Fusion.AUTO, True, True),
        (Fusion.AUTO, False, False),
        (Fusion.KEEP, True, False),
        (Fusion.SKIP, False, True),
    ],
)
def test_whether_scans_are_fused(fusion, is_single_scan, skips):
    adaptation, _ = plan(tiny_model(), is_single_scan=is_single_scan, fusion=fusion)
    assert adaptation.skips_fusion is skips


def test_a_knowledge_head_has_to_be_there():
    with pytest.raises(FinetuneError, match="classifier is linear"):
        plan(tiny_model(), head=Head.KNOWLEDGE)


@pytest.mark.parametrize("method", [Method.FULL, Method.LORA])
def test_a_knowledge_head_reads_new_label_names(data, tmp_path, method):
    encoder = tiny_text_encoder(width=12)
    encoder.save_pretrained(tmp_path / "encoder")
    model = tiny_model(classifier_type="knowledge", num_labels=2)
    model.set_label_texts(["Pneumonia", "Fracture"], encoder, for_training=True)
    model.save_pretrained(tmp_path / "base")
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "base")
    options = FAST | {"num_epochs": 1}
    settings = FinetuneSettings(method, head=Head.KNOWLEDGE, **options)
    with pytest.raises(LabelTextError, match="text encoder"):
        finetune(str(tmp_path / "base"), data, tmp_path / "out", settings)
    record = finetune(
        str(tmp_path / "base"), data, tmp_path / "out", settings,
        text_encoder=str(tmp_path / "encoder"),
    )  # fmt: skip
    assert record.head == "knowledge head, by label names"
    assert record.fusion == "kept"
    adapted = load_model(str(tmp_path / "out"), device="cpu").model
    assert adapted.config.classifier_type == "knowledge"
    torch.testing.assert_close(
        adapted.classifier.label_embeddings, encoder.encode(list(LABELS.names))
    )


def test_a_knowledge_head_without_label_texts_is_not_trained(data, tmp_path):
    names = {"num_labels": len(LABELS), "id2label": LABELS.id2label, "label2id": LABELS.label2id}
    model = RadDiagForImageClassification(tiny_config(**names, classifier_type="knowledge"))
    model.save_pretrained(tmp_path / "base")
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "base")
    with pytest.raises(
        LabelTextsMissingError, match=r"base: its knowledge .*raddiag knowledge embed"
    ):
        finetune(str(tmp_path / "base"), data, tmp_path / "out", SETTINGS[Method.FULL])
    assert not (tmp_path / "out").exists()


def test_a_knowledge_head_goes_on_with_labels_it_knows_and_they_count_as_trained(data, tmp_path):
    model = tiny_model(classifier_type="knowledge", num_labels=2)
    model.set_label_texts(["Pneumonia", "Fracture"], tiny_text_encoder(width=12), for_training=True)
    model.set_label_texts(LABELS.names, tiny_text_encoder(width=12))
    model.save_pretrained(tmp_path / "base")
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "base")
    settings = FinetuneSettings(Method.FULL, **(FAST | {"num_epochs": 1}))
    finetune(str(tmp_path / "base"), data, tmp_path / "out", settings)
    assert load_model(str(tmp_path / "out"), device="cpu").model.config.trained_labels is None


def test_a_text_encoder_that_no_head_would_read_is_refused(base, data, tmp_path):
    with pytest.raises(FinetuneError, match="a text encoder was given, but the head would be"):
        finetune(str(base), data, tmp_path / "out", SETTINGS[Method.FULL], text_encoder="encoder")


def test_a_modality_that_the_model_does_not_know_is_refused(base, data, tmp_path):
    folder = save_tiny_model(tmp_path / "narrow")
    slots = RadDiagImageProcessor(image_size=32, max_slices=8).modality_slots
    only_mri = {name: value for name, value in slots.items() if "MRI" in str(name)}
    RadDiagImageProcessor(image_size=32, max_slices=8, modality_slots=only_mri).save_pretrained(
        folder
    )
    with pytest.raises(FinetuneError, match="has scans of CT, but the model has a slot only for"):
        finetune(str(folder), data, tmp_path / "out", SETTINGS[Method.LINEAR_PROBE])


def test_a_finished_run_that_lost_its_card_or_metrics_is_made_again(base, data, tmp_path):
    settings = SETTINGS[Method.LINEAR_PROBE]
    record = finetune(str(base), data, tmp_path / "out", settings)
    for name in (METRICS_FILE, "README.md"):
        (tmp_path / "out" / name).unlink()
        assert finetune(str(base), data, tmp_path / "out", settings) == record
        assert (tmp_path / "out" / name).is_file()
