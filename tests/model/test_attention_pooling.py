"""Attention over slices and scans: a mean to begin with, and a weighted one in any order."""

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from raddiag_hf import RadDiagForImageClassification
from tests.fixtures.models import packed_batch, tiny_config, tiny_model

BOTH = {"slice_fusion": "attention", "fusion_type": "attention"}


def new_model(**overrides):
    """With the weights that a new model has."""
    torch.manual_seed(0)
    return RadDiagForImageClassification(tiny_config(**(BOTH | overrides))).eval()


@torch.no_grad()
def test_a_new_model_takes_the_mean_of_slices_and_scans():
    model, batch = new_model(), packed_batch([[3, 1], [8]])
    slices = model.encode_slices(batch["pixel_values"])
    scans = torch.stack([scan.mean(0) for scan in slices.split(batch["slice_counts"].tolist())])
    output = model(**batch)
    torch.testing.assert_close(output.scan_embeddings, scans)
    torch.testing.assert_close(output.pooler_output, torch.stack([scans[:2].mean(0), scans[2]]))
    torch.testing.assert_close(output.slice_attentions[0, :3], torch.full((3,), 1 / 3))


@torch.no_grad()
def test_one_slice_of_one_scan_is_the_case():
    model, batch = tiny_model(**BOTH), packed_batch([[1], [4, 1]])
    slices = model.encode_slices(batch["pixel_values"])
    output = model(**batch)
    assert torch.equal(output.scan_embeddings[0], slices[0])
    assert torch.equal(output.pooler_output[0], slices[0])
    assert torch.equal(output.scan_embeddings[2], slices[-1])


@torch.no_grad()
def test_the_order_of_slices_does_not_matter():
    model, batch = tiny_model(**BOTH), packed_batch([[8]])
    turned = batch | {"pixel_values": batch["pixel_values"].flip(0)}
    torch.testing.assert_close(model(**turned).logits, model(**batch).logits)


@torch.no_grad()
def test_every_head_weighs_its_own_channels_by_its_shares():
    model = tiny_model(**BOTH, num_attention_heads=4)
    batch = packed_batch([[3, 5]])
    output = model(**batch, output_attentions=True)
    (shares,) = output.encoder_attentions
    assert shares.shape == (2, 4, 5)
    assert (shares[0, :, 3:] == 0).all()
    assert shares[1].std(0).max() > 0.01, "all heads agree"
    slices = model.encode_slices(batch["pixel_values"])[3:].view(5, 4, 8)
    expected = torch.einsum("hs,shc->hc", shares[1], slices).flatten()
    torch.testing.assert_close(output.scan_embeddings[1], expected)


def test_the_key_slice_loss_teaches_the_scores():
    model, batch = new_model(key_slice_loss_weight=1.0), packed_batch([[6]])
    batch |= {"labels": torch.zeros(1, 5), "key_slices": torch.tensor([4])}
    optimizer = torch.optim.Adam(model.raddiag.encoder.slice_attention.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch).loss_key_slice.backward()
        optimizer.step()
    assert model(**batch).slice_attentions.argmax() == 4


@pytest.mark.parametrize("slice_fusion", ["transformer", "attention"])
@torch.no_grad()
def test_slice_features_stand_for_the_pixels(slice_fusion):
    model, batch = tiny_model(slice_fusion=slice_fusion), packed_batch([[3, 1], [2]])
    expected = model(**batch)
    model.config.encoder_chunk_size = 2
    features = model.encode_slices(batch.pop("pixel_values"))
    assert features.shape == (6, 32)
    output = model(slice_features=features, **batch)
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.slice_attentions, expected.slice_attentions)


def test_pixels_and_features_exclude_each_other():
    model, batch = tiny_model(), packed_batch([[2]])
    with pytest.raises(ValueError, match="either pixel_values or slice_features"):
        model(**batch, slice_features=torch.zeros(2, 32))
    pixels = batch.pop("pixel_values")
    with pytest.raises(ValueError, match="either pixel_values or slice_features"):
        model(**batch)
    with pytest.raises(ValueError, match=r"slice_features has shape \(2, 31\), expected .*32"):
        model(**batch, slice_features=torch.zeros(2, 31))
    with pytest.raises(ValueError, match=r"3 slices in slice_features"):
        model(**batch, slice_features=torch.zeros(3, 32))
    with pytest.raises(ValueError, match="a scan has 9 slices"):
        model(**packed_batch([[9]]))
    assert len(pixels) == 2


@pytest.mark.parametrize("encoder", ["resnet", "vit"])
def test_encoders_without_slice_tokens_have_no_slice_features(encoder):
    model, batch = tiny_model(encoder_type=encoder), packed_batch([[2]])
    with pytest.raises(ValueError, match=f"encoder_type is '{encoder}', which has no slice feat"):
        model.encode_slices(batch["pixel_values"])
    with pytest.raises(StrictDataclassClassValidationError, match=f"'{encoder}', which has no"):
        tiny_config(encoder_type=encoder, slice_fusion="attention")
