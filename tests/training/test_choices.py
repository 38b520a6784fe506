"""What was chosen is told with its reason; what somebody named is not."""

from types import SimpleNamespace

import pytest

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.choices import tell_choices
from raddiag_hf.training.finetune_defaults import choose_settings
from raddiag_hf.training.finetune_settings import FinetuneSettings, Start
from raddiag_hf.training.model_adaptation import Adaptation
from raddiag_hf.vocabulary import Split

CONFIG = SimpleNamespace(image_size=96, max_slices=32, resnet_depth=10)


def told(
    start, *, is_named=True, num_cases=300, labels=("Normal", "Fracture"), is_single=False,
    fusion="kept", is_exclusive=False, **asked,
):  # fmt: skip
    """What is told, by what it is about."""
    data = type("Cases", (dict,), {"location": "cases", "is_exclusive": is_exclusive})()
    data[Split.TRAIN] = range(num_cases)
    data.label_set, data.is_single_scan = LabelSet(labels), is_single
    settings = FinetuneSettings(**asked)
    chosen = choose_settings(settings, start, data)
    skips = fusion.startswith("skipped")
    adaptation = Adaptation("probe", "new", skips, fusion, (), is_exclusive and asked == {})
    found = tell_choices(settings, chosen, start, data, CONFIG, adaptation, is_start_named=is_named)
    return dict(one.split(": ", 1) for one in found)


def test_a_start_that_was_named_is_not_told_as_chosen():
    assert told(Start.SCRATCH, is_named=False)["Start"].startswith("random weights, for no model")
    assert "Start" not in told(Start.SCRATCH)


def test_all_that_was_chosen_from_scratch_has_a_reason():
    found = told(Start.SCRATCH)
    assert list(found) == ["Encoder", "Images", "Epochs", "Augmentation", "Fusion"]
    assert found["Encoder"].startswith("ResNet-10 and attention")
    assert found["Images"] == "96 pixels, for speed; up to 32 slices of a scan."
    assert found["Epochs"].startswith("40, for 300 training cases in steps of 16, at 0.002; batch")
    assert found["Augmentation"].startswith("light, ")
    assert found["Fusion"] == "kept, for cases have several scans."


def test_a_network_is_not_said_to_suit_any_number_of_cases():
    for cases in (3, 400):
        encoder = told(Start.SCRATCH, num_cases=cases)["Encoder"]
        assert encoder.endswith(f"made for some hundred cases; there are {cases} to train on.")


def test_what_was_asked_for_is_not_told():
    asked = {"num_epochs": 3, "augmentation": "none", "image_size": 64}
    assert list(told(Start.SCRATCH, **asked)) == ["Encoder", "Fusion"]


def test_of_one_training_case_the_grammar_is_right():
    assert "for 1 training case in" in told(Start.SCRATCH, num_cases=1)["Epochs"]


def test_methods_of_a_model_tell_what_they_use():
    assert told(Start.MODEL)["Method"].startswith("linear-probe, which takes the encoder as it is")
    assert "Epochs" not in told(Start.MODEL)
    lora = told(Start.MODEL, method="lora")
    assert "Method" not in lora
    assert "at most; 5 without a better validation loss end them" in lora["Epochs"]
    assert told(Start.BACKBONE)["Images"].startswith("96 pixels, as the backbone has them")


@pytest.mark.parametrize(
    ("start", "is_single", "fusion", "expected"),
    [
        (Start.MODEL, True, "skipped: every case has one scan", "skipped, for every case has one"),
        (Start.MODEL, False, "max, the model's own", "max, the model's own."),
        (Start.BACKBONE, False, "kept", "chosen by cross-validation, for cases have several"),
        (Start.SCRATCH, True, "kept", "kept, which is idle where every case has one scan."),
    ],
)
def test_fusion_has_its_reason(start, is_single, fusion, expected):
    assert told(start, is_single=is_single, fusion=fusion)["Fusion"].startswith(expected)


def test_no_mirrors_and_a_softmax_are_told():
    assert "names a side" in told(Start.SCRATCH, labels=("Normal", "Left mass"))["Augmentation"]
    assert told(Start.SCRATCH, is_exclusive=True)["Labels"].startswith("exclusive, one softmax")
