"""What single networks do; what holds for all of them is in `test_common_checks`."""

from itertools import product

import pytest
import torch

from raddiag_hf import RadDiagForImageClassification
from tests.fixtures.models import packed_batch, tiny_config, tiny_model

ENCODERS = ("resnet_vit", "resnet", "vit", "backbone")


def logits_of(model, batch):
    with torch.no_grad():
        return model(**batch).logits


@pytest.mark.parametrize("encoder", ENCODERS)
def test_modality_slots_change_the_diagnosis(encoder):
    model, batch = tiny_model(encoder_type=encoder), packed_batch([[3, 1]])
    other = batch | {"modality_slots": batch["modality_slots"] % 15 + 1}
    assert not torch.allclose(logits_of(model, batch), logits_of(model, other), atol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_slice_counts(encoder):
    model, batch = tiny_model(encoder_type=encoder), packed_batch([[5, 1]])
    before = logits_of(model, batch)
    for number in range(6):
        pixels = batch["pixel_values"].clone()
        pixels[number] = 1 - pixels[number]
        after = logits_of(model, batch | {"pixel_values": pixels})
        assert (after - before).abs().max() > 1e-6, f"slice {number} is ignored"


@pytest.mark.parametrize(("encoder", "chunk_size"), product(ENCODERS, (1, 3, 100)))
def test_chunks_do_not_change_logits_nor_gradients(encoder, chunk_size):
    batch = packed_batch([[8, 1, 5], [2]]) | {"labels": torch.eye(5)[:2]}
    gradients = []
    for size in (None, chunk_size):
        model = tiny_model(
            encoder_type=encoder, encoder_chunk_size=size, freeze_batch_norm=True
        ).train()
        output = model(**batch)
        output.loss.backward()
        gradients.append(
            {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            | {"logits": output.logits.detach()}
        )
    whole, chunked = gradients
    assert whole.keys() == chunked.keys()
    for name in whole:
        torch.testing.assert_close(chunked[name], whole[name], atol=1e-6, rtol=1e-4)


def running_statistics(model):
    return {name: one.clone() for name, one in model.named_buffers() if "running" in name}


@pytest.mark.parametrize("encoder", ["resnet_vit", "resnet"])
def test_chunks_with_batch_statistics_count_once_and_nearly_as_the_whole(encoder):
    """Two brightnesses in one batch: every chunk has slices of both, as the whole has."""
    batch = packed_batch([[8] * 8, [8] * 8], size=64) | {"labels": torch.eye(5)[:2]}
    batch["pixel_values"][64:] *= 0.2
    stored = {}
    for size in (None, 32, 1000):
        model = tiny_model(encoder_type=encoder, encoder_chunk_size=size, image_size=64).train()
        initial = running_statistics(model)
        loss = model(**batch).loss
        forward = running_statistics(model)
        loss.backward()
        stored[size] = running_statistics(model)
        assert all(torch.equal(stored[size][name], forward[name]) for name in forward)
        assert {one.momentum for one in model.modules() if hasattr(one, "momentum")} == {0.1}
    assert all(torch.equal(stored[1000][name], stored[None][name]) for name in initial)
    for name, value in stored[None].items():
        moved = (value - initial[name]).norm()
        assert (stored[32][name] - value).norm() <= 0.2 * moved, name


def test_chunks_are_refused_where_batch_norms_wait_for_other_processes():
    model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(tiny_model(encoder_chunk_size=2)).train()
    with pytest.raises(ValueError, match="wait for other processes"):
        model(**packed_batch([[4]]), labels=torch.zeros(1, 5))


def test_activation_checkpointing_does_not_choose_whose_statistics_are_taken():
    model = tiny_model().train()
    model.gradient_checkpointing_enable()
    with pytest.raises(ValueError, match="needs encoder_chunk_size"):
        model(**packed_batch([[4]]), labels=torch.zeros(1, 5))


def test_evaluation_encodes_few_slices_at_once_however_large_the_case():
    model, sizes = tiny_model(), []
    model.raddiag.encoder.resnet.register_forward_pre_hook(
        lambda _, inputs: sizes.append(len(inputs[0]))
    )
    logits_of(model, packed_batch([[8] * 20]))
    assert sizes == [64, 64, 32]


def test_activation_checkpointing_keeps_the_gradients():
    batch = packed_batch([[8, 8, 5], [2]]) | {"labels": torch.eye(5)[:2]}
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(freeze_batch_norm=True, num_hidden_layers=2).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.raddiag.gradient_checkpointing
        model(**batch).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        if gradient is not None:
            torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=1e-4)


def test_frozen_batch_norms_keep_their_statistics_in_training():
    model = tiny_model(freeze_batch_norm=True)
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    model.train()(**packed_batch([[4, 4]]), labels=torch.zeros(1, 5)).loss.backward()
    assert before
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_eager_and_sdpa_attention_agree(encoder):
    model, batch = tiny_model(encoder_type=encoder), packed_batch([[3, 1, 8], [1]])
    expected = logits_of(model, batch)
    model.set_attn_implementation("eager")
    torch.testing.assert_close(logits_of(model, batch), expected, atol=2e-6, rtol=1e-5)


def test_attention_maps_are_probabilities_over_real_tokens():
    model = tiny_model(num_hidden_layers=2)
    batch = packed_batch([[3, 1, 8], [1]])
    output = model(**batch, output_attentions=True)
    assert len(output.encoder_attentions) == 2
    assert len(output.fusion_attentions) == 2
    for attention in (*output.encoder_attentions, *output.fusion_attentions):
        torch.testing.assert_close(attention.sum(-1), torch.ones(attention.shape[:-1]))
    torch.testing.assert_close(output.slice_attentions.sum(1), torch.ones(4))
    assert output.slice_attentions[0, 3:].abs().max() == 0
    assert output.fusion_attentions[0][1, :, :, 2:].abs().max() == 0


def test_late_fusion_pools_predictions():
    batch = packed_batch([[3, 1, 8], [2]])
    probabilities = {}
    for fusion in ("max", "mean", "random"):
        model = tiny_model(fusion_type=fusion)
        with torch.no_grad():
            scans = model.encode_scans(batch["pixel_values"], batch["slice_counts"])
            single = model.classifier(scans.scan_embeddings).sigmoid()
        probabilities[fusion] = logits_of(model, batch).sigmoid()
    torch.testing.assert_close(probabilities["max"][0], single[:3].amax(0))
    torch.testing.assert_close(probabilities["mean"][0], single[:3].mean(0))
    assert any(torch.allclose(probabilities["random"][0], row, atol=1e-6) for row in single[:3])
    for fusion in probabilities:
        torch.testing.assert_close(probabilities[fusion][1], single[3])


def test_random_fusion_picks_differently_in_training():
    model = tiny_model(fusion_type="random", freeze_batch_norm=True).train()
    batch = packed_batch([[1] * 6])
    torch.manual_seed(0)
    picks = {tuple(logits_of(model, batch)[0].tolist()) for _ in range(20)}
    assert len(picks) > 2


def one_step(**config):
    """Gradients of a model of late fusion, which starts from the same weights each time."""
    model = tiny_model(freeze_batch_norm=True, **config).train()
    batch = packed_batch([[3, 1, 8], [2]]) | {"labels": torch.eye(5)[:2]}
    model(**batch).loss.backward()
    return [weights.grad for weights in model.classifier.parameters()]


def test_one_scan_level_classifier_is_learnt_whatever_pools_its_predictions():
    maximum, *others = (one_step(fusion_type=how) for how in ("max", "mean", "random"))
    for other in others:
        torch.testing.assert_close(other, maximum)
    assert not torch.allclose(
        *(one_step(fusion_type=how, late_fusion_training="pooled")[0] for how in ("max", "mean"))
    )


def test_a_scan_is_learnt_as_if_it_were_a_case_of_its_own():
    labels = torch.eye(5)[:2]
    model = tiny_model(fusion_type="mean")
    together = model(**packed_batch([[3, 1], [2]]), labels=labels).loss_classification
    single = packed_batch([[3], [1], [2]])
    alone = model(**single, labels=labels[[0, 0, 1]]).loss_classification
    torch.testing.assert_close(together, alone)


def test_partial_losses_add_up():
    batch = packed_batch([[3, 8], [1]]) | {
        "labels": torch.eye(5)[:2],
        "key_slices": torch.tensor([1, -1, 0]),
    }
    output = tiny_model(key_slice_loss_weight=0.5)(**batch)
    assert output.loss_key_slice > 0
    torch.testing.assert_close(output.loss, output.loss_classification + output.loss_key_slice)


def test_a_tuple_starts_with_loss_and_logits():
    batch = packed_batch([[3]]) | {"labels": torch.zeros(1, 5)}
    loss, logits, *_ = tiny_model()(**batch, return_dict=False)
    assert loss.ndim == 0
    assert logits.shape == (1, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slice_counts": torch.tensor([2, 1])}, "slice_counts sums to 3"),
        ({"slice_counts": torch.tensor([4, 0])}, "every count must be at least 1"),
        ({"scan_counts": torch.tensor([1])}, "scan_counts sums to 1"),
        ({"modality_slots": torch.tensor([1])}, "modality_slots has shape"),
        ({"modality_slots": torch.tensor([1, 16])}, "expected 0 to 15"),
        ({"key_slices": torch.tensor([1])}, "key_slices has shape"),
        ({"pixel_values": torch.rand(4, 2, 32, 32)}, "use the model's own image processor"),
        ({"pixel_values": torch.rand(4, 1, 64, 64)}, "use the model's own image processor"),
    ],
)
def test_counts_that_do_not_add_up_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_model()(**(packed_batch([[3, 1]]) | change))


def test_a_scan_deeper_than_the_model_is_refused():
    with pytest.raises(ValueError, match="9 slices, the model takes at most 8"):
        tiny_model()(**packed_batch([[9]]))


def test_published_network_has_the_size_that_its_forward_needs():
    with torch.device("meta"):
        model = RadDiagForImageClassification(
            tiny_config(
                resnet_depth=50,
                resnet_width=64,
                hidden_size=2048,
                intermediate_size=2048,
                num_attention_heads=1,
                num_fusion_heads=4,
                max_slices=32,
                num_labels=5569,
            )
        )
    numbers = sum(p.numel() for p in model.parameters())
    assert 110e6 < numbers < 120e6  # the reference's state dict holds 217.6 M
