"""LoRA adapters: attached, saved alone, loaded, merged."""

import json
import sys

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForImageClassification

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.checkpoints.loading import load_model, read_model
from raddiag_hf.core.extras import ExtraMissingError
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.training.methods.adapters import attach_adapters, save_adapters
from tests.fixtures.models import packed_batch, tiny_model
from tests.fixtures.saved_models import label_names

BATCH = packed_batch([[1], [3, 2]])
FAMILIES = ["resnet_vit", "resnet", "vit"]


def logits(model):
    with torch.no_grad():
        return model.eval()(**BATCH).logits


def trained_adapters(model):
    """Adapters as training leaves them: all that is learnt differs from its start."""
    adapted = attach_adapters(model, rank=2)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.2)
    return adapted


@pytest.fixture
def saved(tmp_path):
    """A base with a label set of five, adapters that give it three, and their logits."""
    fields = label_names()
    tiny_model(**fields).save_pretrained(tmp_path / "base")
    labels = {"id2label": dict(enumerate("abc")), "label2id": {n: i for i, n in enumerate("abc")}}
    model = tiny_model(freeze_batch_norm=True, num_labels=3)
    model.config.update(labels)
    base = read_base(tmp_path / "base")
    weights = {k: v for k, v in base.state_dict().items() if not k.startswith("classifier.fc2")}
    model.load_state_dict(weights, strict=False)
    model.config.decision_thresholds = [0.1, 0.2, 0.3]
    adapted = trained_adapters(model)
    expected = logits(adapted)
    folder = tmp_path / "adapters"
    save_adapters(adapted, folder, str(tmp_path / "base"), None)
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(folder)
    return folder, expected


def read_base(folder):
    return AutoModelForImageClassification.from_pretrained(folder)


@pytest.mark.parametrize(
    ("encoder_type", "classifier_type"),
    [
        ("resnet_vit", "linear"),
        ("resnet", "linear"),
        ("vit", "linear"),
        ("vit", "probe"),
        ("vit", "knowledge"),
    ],
)
def test_fresh_adapters_change_nothing_and_trained_ones_merge(encoder_type, classifier_type):
    model = tiny_model(
        encoder_type=encoder_type, classifier_type=classifier_type, freeze_batch_norm=True
    )
    before = logits(model)
    adapted = attach_adapters(model, rank=2)
    torch.testing.assert_close(logits(adapted), before)
    adapted.unload()
    trained = trained_adapters(tiny_model(
        encoder_type=encoder_type, classifier_type=classifier_type, freeze_batch_norm=True
    ))  # fmt: skip
    expected = logits(trained)
    assert (expected - before).abs().max() > 0.01
    torch.testing.assert_close(logits(trained.merge_and_unload()), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("encoder_type", FAMILIES)
def test_linear_layers_and_convolutions_learn_and_nothing_else(encoder_type):
    model = tiny_model(encoder_type=encoder_type, freeze_batch_norm=True)
    kinds = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Conv3d)
    layers = {name for name, module in model.named_modules() if isinstance(module, kinds)}
    layers -= {name for name in layers if "stem_3d" in name and name.endswith("downsample.0")}
    adapted = attach_adapters(model, rank=2)
    learnt = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    with_lora = {
        name.removeprefix("base_model.model.").partition(".lora_")[0]
        for name in learnt
        if ".lora_" in name
    }
    assert with_lora == layers - {"classifier.fc2"}
    others = {name for name in learnt if ".lora_" not in name}
    assert all("classifier.fc2.modules_to_save" in name for name in others)
    assert len(others) == 2


def test_attention_over_slices_and_scans_is_learnt_whole():
    both = {"slice_fusion": "attention", "fusion_type": "attention", "freeze_batch_norm": True}
    before = logits(tiny_model(**both))
    adapted = attach_adapters(tiny_model(**both), rank=2)
    torch.testing.assert_close(logits(adapted), before)
    learnt = [name for name, one in adapted.named_parameters() if one.requires_grad]
    for module in ("slice_attention", "fusion"):
        names = [name for name in learnt if f".{module}." in name]
        assert names
        assert not [name for name in names if ".lora_" in name]
    trained = trained_adapters(tiny_model(**both))
    expected = logits(trained)
    assert (expected - before).abs().max() > 0.01
    torch.testing.assert_close(logits(trained.merge_and_unload()), expected, atol=1e-4, rtol=1e-4)


def test_peft_alone_loads_saved_adapters(saved):
    folder, expected = saved
    config = AutoConfig.from_pretrained(folder)
    base_model = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    base = AutoModelForImageClassification.from_pretrained(
        base_model, config=config, ignore_mismatched_sizes=True
    )
    torch.testing.assert_close(logits(PeftModel.from_pretrained(base, folder)), expected)


def test_an_adapter_folder_is_a_model_to_diagnose_with(saved):
    folder, expected = saved
    torch.testing.assert_close(logits(read_model(str(folder)).model), expected, atol=1e-5, rtol=0)
    loaded = load_model(str(folder), device="cpu")
    torch.testing.assert_close(logits(loaded.model), expected, atol=1e-4, rtol=1e-4)
    assert loaded.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert loaded.model.config.decision_thresholds == [0.1, 0.2, 0.3]


def test_merged_adapters_can_be_trained_further(saved):
    folder, _ = saved
    model = read_model(str(folder)).model
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_adapters_that_do_not_tell_their_base_are_merged_with_a_warning(saved, caplog):
    folder, _ = saved
    read_model(str(folder))
    assert "nothing tells whether" in caplog.text
    (folder / "adapter_base.json").write_text("{")
    with pytest.raises(ModelSourceError, match=r"adapter_base\.json"):
        read_model(str(folder))
    (folder / "adapter_base.json").write_text('{"format": 2}')
    with pytest.raises(ModelSourceError, match=r"adapter_base\.json: format is 2, .* a newer one"):
        read_model(str(folder))


def test_adapters_are_saved_without_their_base(saved):
    folder, _ = saved
    size = (folder / "adapter_model.safetensors").stat().st_size
    assert size < (folder.parent / "base" / "model.safetensors").stat().st_size / 2
    assert not (folder / "README.md").exists()
    assert not (folder / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f.parent / "base" / "model.safetensors").unlink(), "to is not available"),
        (
            lambda f: (f / "adapter_model.safetensors").write_bytes(b"\0" * 20),
            "not what was written",
        ),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "has no peft_type"),
        (
            lambda f: tiny_model(resnet_width=8, hidden_size=64).save_pretrained(f.parent / "base"),
            "belong to another model",
        ),
    ],
)
def test_adapters_that_cannot_be_read_are_one_error(saved, damage, message):
    folder, _ = saved
    damage(folder)
    with pytest.raises(ModelSourceError, match=message) as caught:
        load_model(str(folder), device="cpu")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_peft_the_extra_is_named(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'raddiag-hf\[peft\]'"):
        attach_adapters(tiny_model(), 2)
    with pytest.raises(ExtraMissingError, match=r"adapters needs peft: pip install"):
        load_model(str(saved[0]))


def test_batch_norms_must_be_frozen():
    with pytest.raises(ValueError, match="freeze_batch_norm is False"):
        attach_adapters(tiny_model(), rank=2)
