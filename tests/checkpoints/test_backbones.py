"""Vision models as a start: what is read of them, and what is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    Dinov2Model,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from raddiag_hf import Scan, diagnose_case
from raddiag_hf.checkpoints.backbones import load_backbone
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.vocabulary import Modality
from tests.fixtures.models import BACKBONES, TINY_VIT, packed_batch
from tests.fixtures.saved_models import save_tiny_model

VISION = {**TINY_VIT, "hidden_size": 32, "intermediate_size": 32}
TEXT = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 40,
}  # fmt: skip
PROCESSOR = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3]}


def save(model, folder, **processor):
    model.save_pretrained(folder)
    if processor:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


@pytest.fixture
def dinov2(tmp_path):
    torch.manual_seed(0)
    return save(Dinov2Model(BACKBONES["dinov2"][0]), tmp_path / "dinov2", **PROCESSOR)


def test_the_start_is_the_backbone_and_the_mean_of_its_features(dinov2):
    loaded = load_backbone(dinov2, labels=["Normal", "Nodule"], max_slices=8)
    config, batch = loaded.model.config, packed_batch([[3, 1]])
    assert (config.backbone, config.backbone_pooling, config.hidden_size) == (
        "dinov2", "class_mean", 32,
    )  # fmt: skip
    assert config.id2label == {0: "Normal", 1: "Nodule"}
    assert (config.backbone_mean, config.backbone_std) == ([0.5, 0.4, 0.3], [0.1, 0.2, 0.3])
    assert (loaded.processor.image_size, loaded.processor.max_slices) == (32, 8)
    assert not loaded.model.training
    mean, std = torch.tensor([[0.5, 0.4, 0.3], [0.1, 0.2, 0.3]])[:, :, None, None]
    with torch.no_grad():
        own = AutoModel.from_pretrained(dinov2)
        tokens = own(pixel_values=(batch["pixel_values"] - mean) / std).last_hidden_state
        expected = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)
        torch.testing.assert_close(loaded.model.encode_slices(batch["pixel_values"]), expected)
        case = (expected[:3].mean(0) + expected[3]) / 2
        torch.testing.assert_close(loaded.model(**batch).pooler_output[0], case)


def test_a_ct_is_shown_in_a_window_for_each_channel(dinov2):
    windows = ["lung", "mediastinum", "bone"]
    loaded = load_backbone(dinov2, ct_channel_windows=windows, max_slices=8)
    pixels = loaded.processor([np.full((32, 32), -600.0)], ["CT"])["pixel_values"]
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([0.5, 0.0, 0.0])
    mean, std = torch.tensor([[0.5, 0.4, 0.3], [0.1, 0.2, 0.3]])[:, :, None, None]
    with torch.no_grad():
        tokens = AutoModel.from_pretrained(dinov2)(pixel_values=(pixels - mean) / std)
        expected = tokens.last_hidden_state[:, 0]
        torch.testing.assert_close(loaded.model.encode_slices(pixels)[:, :16], expected)
    with pytest.raises(InputError, match="2 windows, but the backbone has 3 channels"):
        load_backbone(dinov2, ct_channel_windows=windows[:2])
    with pytest.raises(InputError, match="no CT window 'heart'"):
        load_backbone(dinov2, ct_channel_windows=["lung", "heart", "bone"])


def test_no_path_of_this_machine_is_saved(dinov2, tmp_path):
    load_backbone(dinov2).model.save_pretrained(tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()


def test_a_saved_start_diagnoses_when_the_backbone_is_gone(dinov2, tmp_path):
    loaded = load_backbone(dinov2, labels=["Normal", "Nodule"])
    for part in (loaded.model, loaded.processor):
        part.save_pretrained(tmp_path / "model")
    for path in (tmp_path / "dinov2").iterdir():
        path.unlink()
    again = load_model(str(tmp_path / "model"), device="cpu")
    pixels = np.random.default_rng(0).random((4, 40, 40), np.float32)
    scan = Scan(pixels, Modality.CT, scan_id="chest")
    diagnosis = diagnose_case(again.model, again.processor, [scan])
    assert {finding.label for finding in diagnosis.findings} == {"Normal", "Nodule"}


@pytest.mark.parametrize("kind", ["siglip", "clip"])
def test_of_a_model_of_pictures_and_texts_the_vision_tower_is_taken(kind, tmp_path):
    torch.manual_seed(0)
    config, network = {"siglip": (SiglipConfig, SiglipModel), "clip": (CLIPConfig, CLIPModel)}[kind]
    text = TEXT if kind == "siglip" else {**TEXT, "eos_token_id": 2}
    both = network(config(vision_config=VISION, text_config=text)).eval()
    loaded = load_backbone(save(both, tmp_path / "both", **PROCESSOR))
    assert loaded.model.config.backbone_pooling == "pooled"
    pixels = packed_batch([[2]])["pixel_values"]
    mean, std = torch.tensor([[0.5, 0.4, 0.3], [0.1, 0.2, 0.3]])[:, :, None, None]
    with torch.no_grad():
        expected = both.vision_model(pixel_values=(pixels - mean) / std).pooler_output
        torch.testing.assert_close(loaded.model.encode_slices(pixels), expected)


def test_a_convolutional_network_is_taken_by_its_map(tmp_path):
    model = ResNetModel(BACKBONES["resnet"][0])
    size = {"do_center_crop": True, "crop_size": {"height": 40, "width": 40}}
    loaded = load_backbone(save(model, tmp_path / "resnet", **PROCESSOR, **size))
    config = loaded.model.config
    assert (config.backbone_pooling, config.hidden_size, config.image_size) == ("mean", 32, 40)


def test_the_head_of_a_classifier_is_left_over_and_its_names_too(tmp_path):
    names = {number: f"secret breed {number}" for number in range(7)}
    model = ViTForImageClassification(ViTConfig(**VISION, id2label=names))
    folder = save(model, tmp_path / "vit", **PROCESSOR)
    loaded = load_backbone(folder)
    assert loaded.model.config.backbone_pooling == "class_mean"
    loaded.model.save_pretrained(tmp_path / "out")
    assert "secret breed" not in (tmp_path / "out" / "config.json").read_text()
    with pytest.raises(ModelSourceError, match=r"no weights of its own head \(pooler"):
        load_backbone(folder, pooling="pooled")


def test_without_a_processor_imagenets_normalisation_is_taken_and_said(tmp_path, caplog):
    folder = save(Dinov2Model(BACKBONES["dinov2"][0]), tmp_path / "bare")
    assert load_backbone(folder).model.config.backbone_mean == [0.485, 0.456, 0.406]
    assert "ImageNet's mean and deviation" in caplog.text


def test_a_grey_backbone_without_a_processor_takes_the_mean_of_imagenets_channels(tmp_path, caplog):
    folder = save(ViTModel(ViTConfig(**VISION, num_channels=1)), tmp_path / "grey")
    loaded = load_backbone(folder)
    config = loaded.model.config
    assert config.num_channels == 1
    assert config.backbone_mean == pytest.approx([0.449])
    assert config.backbone_std == pytest.approx([0.226])
    assert "the mean of ImageNet's channels" in caplog.text
    assert loaded.model.encode_slices(torch.rand(2, 1, 32, 32)).shape == (2, config.hidden_size)


def test_one_number_normalises_all_channels(tmp_path):
    model = Dinov2Model(BACKBONES["dinov2"][0])
    folder = save(model, tmp_path / "one", image_mean=0.5, image_std=0.25)
    config = load_backbone(folder).model.config
    assert (config.backbone_mean, config.backbone_std) == ([0.5] * 3, [0.25] * 3)


def test_missing_weights_are_refused_by_name(dinov2, tmp_path):
    path = tmp_path / "dinov2" / "model.safetensors"
    weights = load_file(path)
    del weights["layernorm.weight"]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelSourceError, match=r"1 tensors are missing .* layernorm\.weight"):
        load_backbone(dinov2)
    path.write_bytes(b"no weights")
    with pytest.raises(ModelSourceError, match="dinov2: "):
        load_backbone(dinov2)
    path.unlink()
    with pytest.raises(ModelSourceError, match="has no weights"):
        load_backbone(dinov2)


def test_weights_that_are_tensors_in_a_pickle_are_read_and_others_are_not(dinov2, tmp_path):
    expected = load_backbone(dinov2).model.raddiag.encoder.backbone.state_dict()
    path = tmp_path / "dinov2" / "model.safetensors"
    target = path.with_name("pytorch_model.bin")
    torch.save(load_file(path), target)
    path.unlink()
    found = load_backbone(dinov2).model.raddiag.encoder.backbone.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    torch.save({"layernorm.weight": print}, target)
    with pytest.raises(ModelSourceError, match="a pickle of more than tensors"):
        load_backbone(dinov2)


def test_what_is_no_vision_model_is_refused(tmp_path):
    with pytest.raises(ModelSourceError, match="is a RadDiag model"):
        load_backbone(str(save_tiny_model(tmp_path / "ours")))
    texts = save(BertModel(BertConfig(**TEXT)), tmp_path / "bert")
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "nobody_knows"}')
    with pytest.raises(ModelSourceError, match=r"config\.json: .*nobody_knows"):
        load_backbone(texts)
    with pytest.raises(ModelSourceError, match="no such folder"):
        load_backbone(str(tmp_path / "absent"))


RESNET = r"`raddiag train pretrain \.\.\. model\.backbone_weights={}` starts from"


@pytest.mark.parametrize("name", ["resnet50.pth", "pytorch_model.bin", "model.safetensors"])
def test_weights_alone_are_refused_with_what_they_are_good_for(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"weights")
    with pytest.raises(ModelSourceError, match="is a file, .*" + RESNET.format(path)):
        load_backbone(str(path))
    alone = r"has no config\.json, .*" + RESNET.format(tmp_path)
    with pytest.raises(ModelSourceError, match=alone):
        load_backbone(str(tmp_path))


def test_a_folder_of_another_library_is_refused_by_its_name(tmp_path):
    with pytest.raises(ModelSourceError, match=r"has no config\.json, .* on the Hub$"):
        load_backbone(str(tmp_path))
    (tmp_path / "open_clip_config.json").write_text("{}")
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"weights")
    with pytest.raises(ModelSourceError, match="is a model of open_clip, expected"):
        load_backbone(str(tmp_path))


def test_code_of_a_repository_is_never_run(tmp_path):
    (tmp_path / "mine.py").write_text("raise SystemExit('it ran')")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModel": "mine.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelSourceError, match=r"code of its own \(auto_map\), which is never run"):
        load_backbone(str(tmp_path))
