"""Kinds of vision models as a start: each is read with its own features, or refused in one line."""

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BlipVisionConfig,
    BlipVisionModel,
    DetrConfig,
    HGNetV2Backbone,
    HGNetV2Config,
    ResNetConfig,
    SamVisionConfig,
    Siglip2VisionConfig,
    ViTMAEConfig,
    VivitConfig,
    Wav2Vec2Config,
    YolosConfig,
)

from raddiag_hf import diagnose_case, explain_case
from raddiag_hf.checkpoints.backbones import load_backbone
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.inference.embedding import embed_case
from raddiag_hf.inference.explain.saliency import ScoreCamSettings
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.models import BACKBONES, TINY_VIT, packed_batch

TRANSFORMER = {**TINY_VIT, "hidden_size": 32, "intermediate_size": 32}
TEXT = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
NARROW_MAPS = ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1])
REGISTERS = {"registers": 3, "dinov3": 2}
"""Tokens between that of the class and those of patches."""
CASE = [make_scan(0, (4, 40, 40)), make_scan(1, (1, 40, 40), Modality.XRAY)]


def save(model, folder):
    model.save_pretrained(folder)
    return str(folder)


def own_features(kind, answer):
    """What people take of each kind, by its definition."""
    if kind in ("siglip", "clip"):
        return answer.pooler_output
    tokens = answer.last_hidden_state
    if kind in ("resnet", "convnext"):
        return tokens.mean((2, 3))
    if kind == "swin":
        return tokens.mean(1)
    return torch.cat([tokens[:, 0], tokens[:, 1 + REGISTERS.get(kind, 0) :].mean(1)], 1)


@pytest.mark.parametrize("kind", BACKBONES)
def test_every_kind_gives_its_own_features_and_answers_as_any_model_does(kind, tmp_path):
    torch.manual_seed(0)
    folder = save(AutoModel.from_config(BACKBONES[kind][0]), tmp_path / kind)
    loaded = load_backbone(folder, labels=["Normal", "Nodule"], image_size=32, max_slices=8)
    model, processor = loaded.model, loaded.processor
    pixels = packed_batch([[3]])["pixel_values"]
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (model.config.backbone_mean, model.config.backbone_std)
    )
    with torch.no_grad():
        answer = AutoModel.from_pretrained(folder)(pixel_values=(pixels - mean) / std)
        features = own_features(kind, answer)
        torch.testing.assert_close(model.encode_slices(pixels), features)

    assert embed_case(model, processor, CASE).shape == (features.shape[1],)
    assert len(diagnose_case(model, processor, CASE).findings) == 2
    model.classifier.fc.weight.data.normal_()  # a new one is zero: nothing could be explained
    explained = explain_case(model, processor, CASE, settings=ScoreCamSettings(max_masks=4)).scans
    side = answer.last_hidden_state.shape[2] if answer.last_hidden_state.ndim == 4 else 4
    assert [one.saliency.values.shape for one in explained] == [(4, side, side), (1, side, side)]
    assert all(
        0 <= one.saliency.values.min() <= one.saliency.values.max() <= 1 for one in explained
    )
    assert all(one.contribution.slice_attention is not None for one in explained)


def test_a_network_that_gives_maps_alone_is_taken_by_the_last(tmp_path):
    config = HGNetV2Config(
        stem_channels=[3, 4, 8], stage_in_channels=[8, 16], stage_mid_channels=[4, 4],
        stage_out_channels=[16, 32], stage_num_blocks=[1, 1], stage_numb_of_layers=[1, 1],
        stage_downsample=[False, True], stage_light_block=[False, False],
        stage_kernel_size=[3, 3], hidden_sizes=[16, 32], depths=[1, 1], out_features=["stage2"],
    )  # fmt: skip
    model = HGNetV2Backbone(config).eval()
    loaded = load_backbone(save(model, tmp_path / "maps"), image_size=32).model
    pixels = torch.rand(2, 1, 32, 32)
    mean, std = (
        torch.tensor(values)[:, None, None]
        for values in (loaded.config.backbone_mean, loaded.config.backbone_std)
    )
    with torch.no_grad():
        expected = model((pixels - mean) / std).feature_maps[-1].mean((2, 3))
        torch.testing.assert_close(loaded.encode_slices(pixels), expected)


def test_a_vision_tower_without_a_pooler_is_taken_by_its_map(tmp_path):
    config = SamVisionConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=8,
        output_channels=16, global_attn_indexes=[1], window_size=2,
    )  # fmt: skip
    loaded = load_backbone(save(AutoModel.from_config(config), tmp_path / "sam")).model
    assert (loaded.config.backbone_pooling, loaded.config.hidden_size) == ("mean", 16)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            BertConfig(**TEXT, vocab_size=40, intermediate_size=32),
            "reads input_ids, expected an encoder of single pictures",
        ),
        (
            Wav2Vec2Config(**TEXT, intermediate_size=32, conv_dim=(8,) * 7),
            "reads input_values, expected an encoder of single pictures",
        ),
        (
            VivitConfig(**TEXT, image_size=32, num_frames=4, tubelet_size=[2, 8, 8]),
            "reads videos of 4 frames, expected an encoder of single pictures",
        ),
        (
            DetrConfig(
                use_timm_backbone=False, backbone=None, backbone_config=NARROW_MAPS, d_model=32,
                encoder_layers=1, decoder_layers=1, encoder_ffn_dim=32, decoder_ffn_dim=32,
            ),
            "is a detr, which answers with objects or texts, expected an encoder of single",
        ),
        (
            YolosConfig(**TRANSFORMER | {"image_size": [32, 32]}, num_detection_tokens=100),
            "gives 101 tokens that stand neither for patches nor for the whole slice",
        ),
        (
            ViTMAEConfig(**TRANSFORMER, decoder_hidden_size=16),
            "gives another answer each time it is asked",
        ),
        (
            Siglip2VisionConfig(**TRANSFORMER),
            "cannot be asked with pictures of 32 pixels alone: .*spatial_shapes",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)  # fmt: skip
def test_what_is_no_encoder_of_pictures_is_refused(config, message, tmp_path):
    folder = save(AutoModel.from_config(config), tmp_path / "other")
    with pytest.raises(ModelSourceError, match=message):
        load_backbone(folder)


def test_a_kind_that_automodel_does_not_load_is_refused(tmp_path):
    model = BlipVisionModel(BlipVisionConfig(**TRANSFORMER))
    with pytest.raises(ModelSourceError, match=r"'blip_vision_model', which AutoModel .* does not"):
        load_backbone(save(model, tmp_path / "blip"))
