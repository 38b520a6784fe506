"""What is chosen where nobody said: by start, by method and by the number of cases."""

import pytest

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.finetune_defaults import choose_settings
from raddiag_hf.training.finetune_settings import (
    Augmentation,
    FinetuneError,
    FinetuneSettings,
    Method,
    Start,
    check_start,
    start_kind,
)
from raddiag_hf.vocabulary import Split


class Cases(dict):
    """What the choice looks at: how many training cases there are, and their labels."""

    location = "cases"

    def __init__(self, num_cases, labels, is_exclusive):
        super().__init__({Split.TRAIN: range(num_cases)})
        self.label_set = LabelSet(labels)
        self.is_exclusive = is_exclusive


def chosen(start, num_cases=300, labels=("Normal", "Fracture"), is_exclusive=False, **asked):
    cases = Cases(num_cases, labels, is_exclusive)
    return choose_settings(FinetuneSettings(**asked), start, cases)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (None, Start.SCRATCH),
        ("scratch", Start.SCRATCH),
        ("backbone:facebook/dinov2-small", Start.BACKBONE),
        ("someone/model", Start.MODEL),
    ],
)
def test_an_address_says_what_it_is(address, kind):
    assert start_kind(address) is kind


@pytest.mark.parametrize(
    "address", ["nonsense", "Backbone:facebook/dinov2-small", "Scratch", "backbone"]
)
def test_what_is_no_address_is_refused_with_what_would_be_one(address):
    with pytest.raises(FinetuneError, match=f"^{address}: .* backbone: .* scratch"):
        check_start(address)


def test_a_folder_may_have_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Scratch").mkdir()
    for address in ("Scratch", "Scratch:inner"):
        check_start(address)
        assert start_kind(address) is Start.MODEL


def test_random_weights_are_trained_as_a_whole_to_the_end_of_the_schedule():
    settings = chosen(Start.SCRATCH)
    assert settings.method is Method.FULL
    assert settings.train_batch_norm
    assert settings.augmentation is Augmentation.LIGHT
    assert settings.patience is None


@pytest.mark.parametrize("num_cases", [5, 41, 62, 233, 307, 411, 5000])
def test_no_step_from_scratch_is_nearly_empty(num_cases):
    batch = chosen(Start.SCRATCH, num_cases).batch_size
    rest = num_cases % batch or batch
    assert 16 <= batch < 24
    assert rest >= min(num_cases, batch * 2 / 3)


@pytest.mark.parametrize(
    "asked",
    [
        {"num_epochs": 3, "batch_size": 5, "learning_rate": 1e-3},
        {"augmentation": Augmentation.NONE, "train_batch_norm": False, "image_size": 64},
        {"patience": 2, "layer_decay": 0.5, "max_slices": 4},
    ],
)
def test_what_was_asked_for_is_kept(asked):
    settings = chosen(Start.SCRATCH, **asked)
    assert {name: getattr(settings, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Left pneumothorax", Augmentation.SIDED),
        ("Dextrocardia", Augmentation.SIDED),
        ("left_lung_mass", Augmentation.SIDED),
        ("LeftLesion", Augmentation.SIDED),
        ("L knee OA", Augmentation.SIDED),
        ("RLL pneumonia", Augmentation.SIDED),
        ("Cleft palate", Augmentation.LIGHT),
        ("Lung nodule", Augmentation.LIGHT),
        ("Bright spot", Augmentation.LIGHT),
    ],
)
def test_scans_are_not_mirrored_where_a_label_names_a_side(label, expected):
    assert chosen(Start.SCRATCH, labels=("Normal", label)).augmentation is expected


def test_a_backbone_stays_as_it_is_and_attention_is_learnt():
    assert chosen(Start.BACKBONE).method is Method.ATTENTIVE_PROBE


def test_a_model_is_probed_unless_another_method_is_named():
    assert chosen(Start.MODEL).method is Method.LINEAR_PROBE
    lora = chosen(Start.MODEL, method="lora")
    assert (lora.learning_rate, lora.patience, lora.train_batch_norm) == (1e-3, 5, False)


@pytest.mark.parametrize("start", [Start.SCRATCH, Start.BACKBONE])
def test_labels_of_which_every_case_has_one_are_exclusive(start):
    assert chosen(start, is_exclusive=True).exclusive
    assert chosen(start, is_exclusive=True, exclusive=False).exclusive is False
    assert not chosen(start).exclusive


@pytest.mark.parametrize(
    ("start", "asked", "message"),
    [
        (Start.SCRATCH, {"exclusive": True}, "cases has cases with no label or several"),
        (Start.SCRATCH, {"method": "lora"}, "random weights can only be trained as a whole"),
        (Start.MODEL, {"image_size": 64}, "image_size is 64, but a RadDiag model has its own"),
        (Start.MODEL, {"num_epochs": 9}, "the method linear-probe does not use it; lora and full"),
        (Start.BACKBONE, {"patience": 9}, "the method attentive-probe does not use it"),
        (Start.SCRATCH, {"ct_channel_windows": ["lung"]}, r"\['lung'\], which only a backbone"),
    ],
)
def test_what_does_not_suit_the_start_is_refused(start, asked, message):
    with pytest.raises(FinetuneError, match=message):
        chosen(start, **asked)
