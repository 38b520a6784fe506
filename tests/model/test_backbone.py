"""Backbones as slice encoders: the features are their own, and all that holds for others holds."""

import json
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from transformers import AutoModel, AutoModelForImageClassification

from raddiag_hf.inference.explain.activations import activation_maps
from raddiag_hf.training.methods.adapters import attach_adapters
from raddiag_hf.training.methods.weights import parameter_groups
from raddiag_hf.training.plan.memory import plan_memory
from tests.fixtures.models import BACKBONES, packed_batch, tiny_backbone, tiny_config, tiny_model

every_backbone = pytest.mark.parametrize("kind", BACKBONES)
ATTENTION = {"slice_fusion": "attention", "fusion_type": "attention", "classifier_type": "probe"}


def own_answer(model, pixels):
    """What the backbone answers when it is asked by itself, by its definition."""
    mean, std = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.2])
    coloured = (pixels.repeat(1, 3, 1, 1) - mean[:, None, None]) / std[:, None, None]
    return model.raddiag.encoder.backbone(pixel_values=coloured)


@torch.no_grad()
def test_the_features_of_a_slice_are_the_backbones_own():
    pixels = packed_batch([[3]])["pixel_values"]
    model = tiny_model(**tiny_backbone("dinov2"))
    tokens = own_answer(model, pixels).last_hidden_state
    expected = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1)
    torch.testing.assert_close(model.encode_slices(pixels), expected)

    model = tiny_model(**tiny_backbone("registers"))
    tokens = own_answer(model, pixels).last_hidden_state
    assert tokens.shape[1] == 1 + 3 + 16
    torch.testing.assert_close(model.encode_slices(pixels), tokens[:, 4:].mean(1))

    model = tiny_model(**tiny_backbone("siglip"))
    torch.testing.assert_close(model.encode_slices(pixels), own_answer(model, pixels).pooler_output)

    model = tiny_model(**tiny_backbone("resnet"))
    maps = own_answer(model, pixels).last_hidden_state
    torch.testing.assert_close(model.encode_slices(pixels), maps.mean((2, 3)))


@pytest.mark.parametrize(
    ("kind", "pooling", "message"),
    [
        ("siglip", "class", "there is no class token"),
        ("resnet", "class_mean", "there is no class token"),
        ("dinov2", "class", "hidden_size is 32, but the backbone gives 16 features"),
    ],
)
def test_a_pooling_that_does_not_suit_is_refused(kind, pooling, message):
    model = tiny_model(**tiny_backbone(kind) | {"backbone_pooling": pooling})
    with pytest.raises(ValueError, match=message):
        model.encode_slices(torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone_config": None}, "needs backbone_config"),
        ({"backbone_mean": [0.5]}, "backbone_mean is .* 3 channels"),
        ({"backbone_std": [0.1, 0.0, 0.1]}, "expected positive numbers"),
        ({"backbone_pooling": "max"}, "backbone_pooling is 'max'"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        tiny_config(**tiny_backbone() | change)


@pytest.mark.parametrize("patch_size", [16, [16, 16], 8])
def test_class_and_register_tokens_are_not_taken_for_patches(patch_size):
    """Nine tokens are a class, four registers and 2 x 2 patches (of 8 if merged), not 3 x 3."""
    encoder = tiny_model(**tiny_backbone("registers")).raddiag.encoder
    encoder.backbone.config.num_register_tokens = 4
    encoder.backbone.config.patch_size = patch_size
    tokens = torch.arange(9.0)[None, :, None]
    answer = SimpleNamespace(last_hidden_state=tokens)
    assert encoder.has_class_token(answer)
    assert encoder.feature_maps(answer).flatten().tolist() == [5, 6, 7, 8]


def test_patches_need_not_be_square():
    encoder = tiny_model(**tiny_backbone("vit")).raddiag.encoder
    encoder.backbone.config.patch_size = (16, 8)
    answer = SimpleNamespace(last_hidden_state=torch.arange(9.0)[None, :, None])
    assert encoder.has_class_token(answer)
    assert encoder.feature_maps(answer).tolist() == [[[[1, 2, 3, 4], [5, 6, 7, 8]]]]


@every_backbone
@torch.no_grad()
def test_other_sizes_than_its_own(kind):
    model = tiny_model(**tiny_backbone(kind), image_size=64)
    assert model.encode_slices(torch.rand(2, 1, 64, 64)).shape == (2, 32)


@every_backbone
@torch.no_grad()
def test_a_saved_model_needs_no_second_source(kind, tmp_path):
    model, batch = tiny_model(**tiny_backbone(kind), **ATTENTION), packed_batch([[3, 1], [2]])
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["backbone"] == f"tiny/{kind}"
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded(**batch).logits, model(**batch).logits)
    base = AutoModel.from_pretrained(tmp_path)
    torch.testing.assert_close(base(**batch).pooler_output, model(**batch).pooler_output)
    half = AutoModelForImageClassification.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert half.raddiag.encoder.backbone.dtype == torch.bfloat16
    assert (half(**batch).logits - model(**batch).logits).abs().max() < 0.1


@every_backbone
@torch.no_grad()
def test_a_model_made_fast_answers_alike(kind):
    batch = packed_batch([[3, 1], [2]])
    expected = tiny_model(**tiny_backbone(kind))(**batch).logits
    fast = tiny_model(**tiny_backbone(kind)).optimize_for_inference()
    torch.testing.assert_close(fast(**batch).logits, expected, atol=2e-5, rtol=1e-4)


@every_backbone
def test_chunks_and_checkpoints_keep_the_gradients(kind):
    batch = packed_batch([[6, 1], [2]]) | {"labels": torch.eye(5)[:2]}
    found = []
    for chunk_size, checkpoints in ((None, False), (2, False), (None, True)):
        model = tiny_model(
            **tiny_backbone(kind), encoder_chunk_size=chunk_size, freeze_batch_norm=True
        ).train()
        if checkpoints:
            model.gradient_checkpointing_enable()
        model(**batch).loss.backward()
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for gradients in found[1:]:
        assert gradients.keys() == found[0].keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, found[0][name], atol=1e-5, rtol=1e-3)


@every_backbone
def test_adapters_change_nothing_at_first_and_merge_after_training(kind):
    fields = tiny_backbone(kind) | ATTENTION | {"freeze_batch_norm": True}
    batch = packed_batch([[3, 1], [2]]) | {"labels": torch.eye(5)[:2]}
    before = tiny_model(**fields)(**batch).logits
    adapted = attach_adapters(tiny_model(**fields), rank=2)
    torch.testing.assert_close(adapted(**batch).logits, before)
    learnt = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert any(".backbone." in name and ".lora_" in name for name in learnt)
    assert not any("patch_embed" in name for name in learnt)
    optimizer = torch.optim.Adam([p for p in adapted.parameters() if p.requires_grad], lr=0.02)
    for _ in range(3):
        optimizer.zero_grad()
        adapted(**batch).loss.backward()
        optimizer.step()
    expected = adapted(**batch).logits
    assert (expected - before).abs().max() > 0.01
    merged = adapted.merge_and_unload()
    torch.testing.assert_close(merged(**batch).logits, expected, atol=1e-4, rtol=1e-4)


@every_backbone
def test_rates_fall_from_the_classifier_to_the_pixels(kind):
    model = tiny_model(**tiny_backbone(kind), **ATTENTION)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, learning_rate=1.0, layer_decay=0.5, weight_decay=0.1)
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    decays = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert rates.keys() == dict(model.named_parameters()).keys()
    layers = sorted({rate for name, rate in rates.items() if ".backbone." in name})
    assert layers == [2.0**-depth for depth in (5, 4, 3)]
    assert rates["raddiag.encoder.slice_attention.signal.weight"] == 0.25
    assert rates["classifier.fc.weight"] == 1
    tokens = ("cls_token", "position_embeddings", "position_embedding.weight", "mask_token")
    assert not [name for name in decays if name.endswith(tokens) and decays[name]]


@every_backbone
def test_activation_maps_lie_where_the_patches_lie(kind):
    model = tiny_model(**tiny_backbone(kind))
    pixels = torch.zeros(5, 1, 32, 32)
    maps = activation_maps(model, pixels, "features", slices_at_once=2)
    assert maps.values.shape[1:] == (5, 4, 4)
    assert maps.values.min() >= 0


def test_memory_is_planned():
    config = tiny_config(**tiny_backbone(), **ATTENTION)
    assert plan_memory(config, [4, 4]).encoder == pytest.approx(
        2 * plan_memory(config, [4]).encoder, rel=0.1
    )
