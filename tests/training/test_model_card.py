"""The model card: rendered from the record of a run, without a blank and without a name."""

from dataclasses import replace

import pytest
import yaml
from huggingface_hub import ModelCard
from jinja2 import UndefinedError

from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions
from raddiag_hf.training.finetune_settings import ChosenSettings, Method
from raddiag_hf.training.model_card import render_model_card, write_model_card
from raddiag_hf.training.record import TrainingRecord

LABELS = ("Normal", "Pneumothorax | left")


def make_record(**fields) -> TrainingRecord:
    result = evaluate_predictions(
        [[1, 0], [1, 0], [0, 1], [0, 1]],
        [[2.0, -1.0], [0.5, -2.0], [-1.0, 1.0], [1.0, -1.5]],
        thresholds=[0.5, 0.2],
        class_names=LABELS,
        bootstrap=BootstrapSettings(resamples=20, patient_ids=["a", "b", "c", "d"]),
    )
    split = {"cases": 8, "patients": 5, "scans": 9, "positives": {LABELS[0]: 3, LABELS[1]: 5}}
    record = TrainingRecord(
        base_model="owner/raddiag",
        base_revision="0c3f9a1b",
        method="full",
        head="last layer from scratch",
        fusion="kept",
        label_names=LABELS,
        data={
            "splits": dict.fromkeys(("train", "validation", "test"), split),
            "validation_origin": "the data set's own validation split",
            "scans_by_modality": {"CT": 20, "X-ray": 7},
            "cases_by_anatomy": {"Chest": 24},
            "label_column": "labels",
        },
        hyperparameters=ChosenSettings(Method.FULL).hyperparameters(),
        selection="epoch 3 of 8, by the loss on validation, 0.2100",
        threshold_source="highest F1 on 8 validation cases",
        calibration_temperature=1.25,
        metrics=result.to_dict(),
        warnings=("there are 8 training cases",),
        notes=("1 labels have no training case",),
        created_at="2026-11-21",
        hardware="CPU, 2 cores, x86_64",
        versions={"raddiag-hf": "0.1.0"},
    )
    return replace(record, **fields)


def test_the_card_says_what_was_done_and_found():
    card = render_model_card(make_record())
    for text in (
        "full fine-tuning", "epoch 3 of 8", "highest F1 on 8 validation cases", "2026-11-21",
        "CPU, 2 cores", "| train | 8 | 5 | 9 |", "CT 20, X-ray 7", "divided by 1.250",
        "20 bootstrap resamples of patients", "0.750 [", "Pneumothorax \\| left",
        "**Not to be relied on:** there are 8 training cases.",
        "1 labels have no training case", "https://huggingface.co/owner/raddiag",
    ):  # fmt: skip
        assert text in card
    assert card.count("not a medical device") == 1


def test_of_exclusive_labels_the_card_names_no_thresholds():
    metrics = make_record().metrics
    found = {"cases": 4, "accuracy": 0.75, "balanced_accuracy": 0.5, "counts": None}
    found |= {"accuracy_low": 0.5, "accuracy_high": 1.0}
    found |= {"balanced_accuracy_low": None, "balanced_accuracy_high": None}
    record = make_record(
        is_exclusive=True,
        threshold_source="the most probable label of each case is predicted; calibrated",
        metrics={**metrics, "confusion": found},
    )
    card = render_model_card(record)
    assert "The most probable label of each case is predicted; calibrated. There are no" in card
    assert "reaches its threshold" not in card
    assert "divided by 1.250 before the softmax" in card
    assert "is right in 75.0 (50.0, 100.0) percent of 4 cases" in card
    assert "which together are 1" in card


def test_no_label_breaks_the_card():
    names = ("<script>alert(1)</script>", "a|b", "_left_ *mass* [x](y)\n# z")
    base = make_record()
    classes = base.metrics["classes"] | {"class": list(names[:2])}
    split = base.data["splits"]["train"] | {"positives": dict.fromkeys(names, 4)}
    record = make_record(
        label_names=names,
        metrics={**base.metrics, "classes": classes},
        data={**base.data, "splits": dict.fromkeys(("train", "validation", "test"), split)},
        warnings=(f"no training case has {names[0]}",),
        choices=(f"Augmentation: none, for {names[2]}",),
        notes=(f"{names[1]} is rare",),
    )
    card = render_model_card(record)
    assert "<script>" not in card
    assert card.count("&lt;script&gt;") == 3
    assert "| a\\|b | 4 |" in card
    assert "\\_left\\_ \\*mass\\* \\[x\\](y) # z" in card
    assert "\n# z" not in card


def test_the_hub_reads_its_front_matter(tmp_path):
    path = write_model_card(tmp_path, make_record(method="lora", is_adapter=True))
    assert path.name == "README.md"
    data = ModelCard.load(path).data
    assert data.library_name == "peft"
    assert data.base_model == "owner/raddiag"
    front = path.read_text().split("---")[1]
    assert yaml.safe_load(front)["pipeline_tag"] == "image-classification"


def test_a_base_in_a_folder_is_no_link():
    card = render_model_card(make_record(base_model="pretrained", base_revision=None))
    assert "`pretrained`" in card
    assert "huggingface.co" not in card
    assert "base_model:" not in card


def test_without_test_cases_there_are_no_results():
    card = render_model_card(make_record(metrics=None, threshold_source=None))
    assert "Not evaluated: the data set has no test split." in card
    assert "probabilities are not turned into decisions" in card


def test_it_tells_of_which_scans_the_model_knows_nothing():
    kinds = ({"modality": "CT", "anatomy": "Chest", "scans": 40, "cases": 30},)
    score = {"training_scans": 40, "validation_cases": 9, "alarm_rate": 0.05}
    card = render_model_card(make_record(training_kinds=kinds, ood_score=score))
    assert "CT, Chest (40), numbers of scans." in card
    assert "about 5 % of cases like these are." in card
    measured = score | {"test_cases": 20, "test_alarms": 2}
    card = render_model_card(make_record(training_kinds=kinds, ood_score=measured))
    assert "9 validation cases" in card
    assert "about 5 % of cases like these are; of 20 test cases 2." in card


def test_a_missing_field_is_an_error_and_no_blank():
    data = dict(make_record().data)
    del data["scans_by_modality"]
    with pytest.raises((UndefinedError, AttributeError)):
        render_model_card(make_record(data=data))


def test_a_record_survives_its_file():
    record = make_record()
    assert TrainingRecord.from_json(record.to_json()) == record
    with pytest.raises(ValueError, match="is no record of a training"):
        TrainingRecord.from_json("{}")
