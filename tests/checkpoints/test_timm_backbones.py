"""Models of timm as a start, through transformers' wrapper; `tests/timm.sh` installs what it takes.

Their folders are as timm's repositories on the Hub are: timm's own names of weights, and a
``config.json`` of an architecture without a ``model_type``.
"""

import importlib.util
import json

import pytest
import torch
from safetensors.torch import save_file

from raddiag_hf import RadDiagForImageClassification, explain_case
from raddiag_hf.checkpoints.backbones import load_backbone
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.extras import ExtraMissingError
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.inference.explain.saliency import ScoreCamSettings
from raddiag_hf.training.methods.adapters import attach_adapters
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.models import packed_batch, tiny_backbone, tiny_config

HAS_TIMM = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not HAS_TIMM, reason="timm is not installed: run tests/timm.sh")

VIT = {"embed_dim": 32, "depth": 2, "num_heads": 2}
ARCHITECTURES = {
    "resnet10t": ({}, 64, 2),
    "vit_tiny_patch16_224": (VIT, 64, 4),
    "vit_small_patch14_reg4_dinov2": (VIT, 56, 4),
    "vit_base_patch16_siglip_224": (VIT, 64, 4),
    "convnext_atto": ({"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 32]}, 64, 2),
    "swin_tiny_patch4_window7_224": (
        {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]}, 56, 7,
    ),
}  # fmt: skip
"""Architecture -> arguments that make it narrow, size of slices, places along a side of its map."""
every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)


@pytest.fixture
def hub_folder(tmp_path):
    """Write a random network as timm's repositories are; return the folder and the network."""

    def write(name):
        import timm

        arguments, size, _ = ARCHITECTURES[name]
        if "patch" in name:
            arguments = arguments | {"img_size": size}
        torch.manual_seed(0)
        network = timm.create_model(name, num_classes=5, **arguments).eval()
        config = {
            "architecture": name,
            "num_classes": 5,
            "num_features": network.num_features,
            "model_args": arguments,
            "pretrained_cfg": {
                "mean": [0.5] * 3, "std": [0.2] * 3, "input_size": [3, size, size],
                "num_classes": 5,
            },
        }  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        weights = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        return str(folder), network

    return write


@needs_timm
@every_architecture
@torch.no_grad()
def test_the_features_are_those_that_timm_pools(name, hub_folder):
    folder, network = hub_folder(name)
    loaded = load_backbone(folder)
    size = loaded.model.config.image_size
    assert (loaded.model.config.backbone_pooling, size) == ("pooled", ARCHITECTURES[name][1])
    pixels = torch.rand(2, 1, size, size)
    tokens = network.forward_features(((pixels - 0.5) / 0.2).expand(-1, 3, -1, -1))
    expected = network.forward_head(tokens, pre_logits=True)
    torch.testing.assert_close(loaded.model.encode_slices(pixels), expected)

    of_places = load_backbone(folder, pooling="mean").model.encode_slices(pixels)
    if tokens.ndim == 3:
        expected = tokens[:, getattr(network, "num_prefix_tokens", 0) :].mean(1)
    else:
        expected = tokens.mean((1, 2) if "swin" in name else (2, 3))
    torch.testing.assert_close(of_places, expected)


@needs_timm
@every_architecture
def test_it_is_saved_explained_and_adapted_as_any_other(name, hub_folder, tmp_path):
    loaded = load_backbone(hub_folder(name)[0], max_slices=8, freeze_batch_norm=True)
    size, side = ARCHITECTURES[name][1:]
    batch = packed_batch([[3, 1], [2]], size=size)
    model, out = loaded.model, tmp_path / "saved"
    model.classifier.fc.weight.data.normal_()
    model.save_pretrained(out)
    loaded.processor.save_pretrained(out)
    with torch.no_grad():
        logits = model(**batch).logits
        again = load_model(str(out), device="cpu").model(**batch).logits
        torch.testing.assert_close(again, logits)
        half = RadDiagForImageClassification.from_pretrained(out, dtype=torch.bfloat16)
        assert (half(**batch).logits - logits).abs().max() < 0.05 * logits.abs().max() + 0.05
        model.config.encoder_chunk_size = 2
        torch.testing.assert_close(model(**batch).logits, logits, atol=1e-5, rtol=1e-4)

    scan = make_scan(0, (4, 40, 40), Modality.CT)
    settings = ScoreCamSettings(max_masks=4)
    (explained,) = explain_case(model, loaded.processor, [scan], settings=settings).scans
    assert explained.saliency.values.shape == (4, side, side)

    adapted = attach_adapters(model, rank=2)
    learnt = [key for key, parameter in adapted.named_parameters() if parameter.requires_grad]
    assert any(".timm_model." in key and ".lora_" in key for key in learnt)
    torch.testing.assert_close(adapted(**batch).logits, logits, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        adapted.merge_and_unload()(**batch).logits, logits, atol=1e-5, rtol=1e-4
    )


@needs_timm
def test_gradients_are_the_same_in_chunks_and_with_checkpoints(hub_folder):
    model = load_backbone(hub_folder("resnet10t")[0], freeze_batch_norm=True).model.train()
    batch = packed_batch([[3, 1], [2]], size=64) | {"labels": torch.eye(2)}
    model.classifier.fc.weight.data.normal_()
    found = []
    for chunk_size, checkpoints in ((None, False), (2, False), (None, True)):
        model.config.encoder_chunk_size = chunk_size
        if checkpoints:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        model(**batch).loss.backward()
        weight = model.raddiag.encoder.backbone.timm_model.conv1[0].weight
        found.append(weight.grad.clone())
    assert found[0].abs().max() > 0
    for gradient in found[1:]:
        torch.testing.assert_close(gradient, found[0], atol=1e-6, rtol=1e-3)


@needs_timm
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_a_size_that_it_cannot_take_is_refused(name, hub_folder):
    with pytest.raises(ModelSourceError, match="96"):
        load_backbone(hub_folder(name)[0], image_size=96)


@needs_timm
def test_an_architecture_that_timm_does_not_know_is_refused(hub_folder, tmp_path):
    folder, _ = hub_folder("resnet10t")
    path = tmp_path / "resnet10t" / "config.json"
    path.write_text(path.read_text().replace('"resnet10t"', '"resnet10of2031"'))
    with pytest.raises(ModelSourceError, match=r"'resnet10of2031' is not supported .* timm"):
        load_backbone(folder)


@pytest.mark.skipif(HAS_TIMM, reason="timm is installed")
@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "resnet18", "num_classes": 5, "pretrained_cfg": {}},
        {"architecture": "resnet18", "model_type": "timm_wrapper"},
    ],
)
def test_without_timm_the_user_is_told_what_to_install(config, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ExtraMissingError, match=r"raddiag-hf\[timm\]"):
        load_backbone(str(tmp_path))


@pytest.mark.skipif(HAS_TIMM, reason="timm is installed")
def test_without_timm_a_model_that_was_saved_with_it_says_so_too(tmp_path):
    config = tiny_config(**tiny_backbone() | {"backbone_config": {"model_type": "timm_wrapper"}})
    config.save_pretrained(tmp_path)
    with pytest.raises(ExtraMissingError, match=r"raddiag-hf\[timm\]"):
        load_model(str(tmp_path), device="cpu")
