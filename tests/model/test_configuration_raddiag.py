"""The configuration: presets of the paper, and contradictions that are refused."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from raddiag_hf import RadDiagConfig, RadDiagForImageClassification
from raddiag_hf.model.configuration_raddiag import PRESETS
from tests.fixtures.models import packed_batch, tiny_config

TABLE_1 = {
    "vit6-mlp2", "vit6-mlp4", "vit12-mlp2", "vit12-mlp4",
    "resnet18-resnet18", "resnet34-resnet18", "resnet18-resnet34", "resnet34-resnet34",
    "resnet34-vit6", "resnet50-vit6", "resnet34-vit12", "resnet50-vit12",
}  # fmt: skip


def test_every_row_of_table_1_is_a_preset():
    assert PRESETS.keys() >= TABLE_1


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_builds(name):
    with torch.device("meta"):
        model = RadDiagForImageClassification(RadDiagConfig.from_preset(name, num_labels=200))
    assert model.config.num_labels == 200


@pytest.mark.parametrize("name", ["vit6-mlp4", "resnet18-resnet34", "resnet34-vit6"])
def test_a_preset_runs_when_narrowed(name):
    family = {k: v for k, v in PRESETS[name].items() if not k.endswith(("_size", "_heads"))}
    narrow = {"resnet_depth": 34} if "resnet_depth" in family else {}
    config = tiny_config(**(family | narrow))
    output = RadDiagForImageClassification(config).eval()(**packed_batch([[3, 1]]))
    assert output.logits.shape == (1, 5)


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match=r"there is no preset 'resnet51'.*resnet50-vit6"):
        RadDiagConfig.from_preset("resnet51")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("encoder_type", "swin", "encoder_type is 'swin', expected one of"),
        ("fusion_type", "sum", "fusion_type is 'sum'"),
        ("classifier_type", "mlp", "classifier_type is 'mlp'"),
        ("resnet_depth", 51, "resnet_depth is 51"),
        ("hidden_size", 48, "hidden_size is 48, but a ResNet-10 of width 4 gives 32 features"),
        ("num_fusion_heads", 3, "hidden_size is 32, which num_fusion_heads=3 does not divide"),
        ("max_slices", 0, "max_slices is 0, expected at least 1"),
        ("encoder_chunk_size", 0, "encoder_chunk_size is 0"),
        ("num_modality_slots", 1, "slot 0 means none"),
        ("calibration_temperature", 0.0, "calibration_temperature is 0.0, expected a positive"),
        ("calibration_temperature", float("nan"), "calibration_temperature is nan"),
        ("decision_thresholds", [0.5], "decision_thresholds has 1 values, but there are 5 labels"),
    ],
)
def test_contradictions_are_refused_with_both_values(field, value, message):
    with pytest.raises((ValueError, StrictDataclassError)) as caught:
        tiny_config(**{field: value})
    assert message in str(caught.value) + str(caught.value.__cause__)


def test_thresholds_and_labels_survive_saving(tmp_path):
    names = {0: "Normal", 1: "Tumour", 2: "Cyst", 3: "Stone", 4: "Bleed"}
    config = tiny_config(
        id2label=names,
        label2id={name: index for index, name in names.items()},
        decision_thresholds=[0.1, 0.2, 0.3, 0.4, 0.5],
        calibration_temperature=1.7,
        label_set_fingerprint="abc",
    )
    config.save_pretrained(tmp_path)
    loaded = RadDiagConfig.from_pretrained(tmp_path)
    assert loaded.id2label == names
    assert loaded.decision_thresholds == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert loaded.calibration_temperature == 1.7
    assert loaded.label_set_fingerprint == "abc"
    assert loaded.problem_type == "multi_label_classification"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classification_loss": "hinge"}, "classification_loss is 'hinge'"),
        ({"focal_alpha": 1.0}, "focal_alpha is 1.0, expected at least 0 and below 1"),
        ({"focal_gamma": -1}, "focal_gamma is -1"),
        ({"class_balanced_beta": 1}, "class_balanced_beta is 1"),
        ({"classification_loss": "class_balanced"}, "which needs train_label_counts"),
        (
            {"classification_loss": "logit_adjusted", "train_label_counts": [1] * 5},
            "which needs num_train_cases",
        ),
        ({"train_label_counts": [1, 2]}, "has 2 values, but there are 5 labels"),
        (
            {"train_label_counts": [1] * 5, "train_known_counts": [2, 2, 2, 2, 0]},
            r"train_known_counts is \[2, 2, 2, 2, 0\], expected 5 values, each from that of",
        ),
        ({"trained_label_counts": [1, 2]}, "has 2 values, but there are 0 trained_labels"),
        (
            {"train_label_counts": [1, 2, 3, 4, 9], "num_train_cases": 8},
            "goes from 1 to 9, expected 0 to num_train_cases, which is 8",
        ),
    ],
)
def test_loss_parameters_that_cannot_be_are_refused(options, message):
    with pytest.raises(StrictDataclassError, match=message):
        tiny_config(**options)
