"""What holds for every network, checked for every encoder with every fusion and every head."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForImageClassification

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.model.configuration_raddiag import CLASSIFIER_TYPES, ENCODER_TYPES, FUSION_TYPES
from tests.fixtures.models import packed_batch, tiny_model

CASES = st.lists(st.lists(st.integers(1, 8), min_size=1, max_size=4), min_size=1, max_size=3)
SCANS = st.lists(st.integers(1, 8), min_size=2, max_size=5)

every_network = pytest.mark.parametrize(
    ("encoder", "fusion", "head"), list(product(ENCODER_TYPES, FUSION_TYPES, CLASSIFIER_TYPES))
)


def network(encoder, fusion, head, **overrides):
    return tiny_model(encoder_type=encoder, fusion_type=fusion, classifier_type=head, **overrides)


def logits_of(model, batch):
    with torch.no_grad():
        return model(**batch).logits


def scans_of(batch, order):
    """The same single case with its scans in another order."""
    scans = batch["pixel_values"].split(batch["slice_counts"].tolist())
    return batch | {
        "pixel_values": torch.cat([scans[i] for i in order]),
        "slice_counts": batch["slice_counts"][order],
        "modality_slots": batch["modality_slots"][order],
    }


def case_of(batch, case):
    """One case of a batch as a batch of its own."""
    scan_counts = batch["scan_counts"]
    scans = slice(int(scan_counts[:case].sum()), int(scan_counts[: case + 1].sum()))
    slice_counts = batch["slice_counts"]
    first = int(slice_counts[: scans.start].sum())
    last = int(slice_counts[: scans.stop].sum())
    return {
        "pixel_values": batch["pixel_values"][first:last],
        "slice_counts": slice_counts[scans],
        "scan_counts": scan_counts[case : case + 1],
        "modality_slots": batch["modality_slots"][scans],
    }


@every_network
@settings(max_examples=4)
@given(counts=SCANS, data=st.data())
def test_scan_order_does_not_change_a_case(encoder, fusion, head, counts, data):
    model = network(encoder, fusion, head)
    batch = packed_batch([counts], seed=sum(counts))
    order = torch.tensor(data.draw(st.permutations(range(len(counts)))))
    torch.testing.assert_close(
        logits_of(model, scans_of(batch, order)), logits_of(model, batch), atol=2e-5, rtol=1e-5
    )


@every_network
@settings(max_examples=4)
@given(cases=CASES)
def test_a_case_alone_equals_the_case_in_a_batch(encoder, fusion, head, cases):
    model = network(encoder, fusion, head)
    batch = packed_batch(cases, seed=len(cases))
    together = logits_of(model, batch)
    for number in range(len(cases)):
        alone = logits_of(model, case_of(batch, number))[0]
        torch.testing.assert_close(alone, together[number], atol=2e-5, rtol=1e-5)


@every_network
def test_a_saved_model_loads_with_the_same_logits(encoder, fusion, head, tmp_path):
    model = network(encoder, fusion, head)
    batch = packed_batch([[3, 1], [8]])
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, RadDiagForImageClassification)
    assert not loaded.training
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in loaded.state_dict().items())
    torch.testing.assert_close(logits_of(loaded, batch), logits_of(model, batch))
    base = AutoModel.from_pretrained(tmp_path)
    with torch.no_grad():
        embedding = base(**batch).pooler_output
        expected = model(**batch).pooler_output
    torch.testing.assert_close(embedding, expected)


@every_network
def test_a_hook_on_the_base_model_sees_every_case(encoder, fusion, head):
    model, seen = network(encoder, fusion, head), []
    model.raddiag.register_forward_hook(lambda _, __, output: seen.append(output))
    output = model(**packed_batch([[3, 1], [2]]), output_attentions=True)
    assert len(seen) == 1
    for name, value in seen[0].items():
        assert output[name] is value


@every_network
def test_without_labels_there_is_no_loss(encoder, fusion, head):
    output = network(encoder, fusion, head)(**packed_batch([[2]]))
    assert output.loss is None
    assert "loss" not in output


@every_network
def test_gradients_reach_every_parameter(encoder, fusion, head):
    model = network(encoder, fusion, head, freeze_batch_norm=True).train()
    batch = packed_batch([[8, 1, 5], [2], [1]]) | {"labels": torch.eye(5)[:3]}
    model(**batch).loss.backward()
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    without = {name for name, one in trained.items() if one.grad is None or not one.grad.any()}
    assert without == set()


@pytest.mark.parametrize(
    ("encoder", "fusion", "head"),
    [
        ("resnet_vit", "transformer", "linear"),
        ("resnet", "transformer", "probe"),
        ("vit", "max", "knowledge"),
    ],
)
def test_one_batch_can_be_learnt_by_heart(encoder, fusion, head):
    model = network(encoder, fusion, head, image_size=64).train()
    batch = packed_batch([[3, 1], [8], [1], [2, 2]], size=64) | {"labels": torch.eye(5)[:4]}
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert (model(**batch).logits.argmax(1) == torch.arange(4)).all()
