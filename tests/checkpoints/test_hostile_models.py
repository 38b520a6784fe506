"""Damaged and hostile model folders: refused by name, before anything acts on them."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raddiag_hf.checkpoints.backbones import load_backbone
from raddiag_hf.checkpoints.foreign_settings import check_configuration
from raddiag_hf.checkpoints.loading import load_model, read_model
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.model.weight_digests import DIGEST_FILE
from tests.fixtures.models import BACKBONES, tiny_backbone
from tests.fixtures.saved_models import save_tiny_model


@pytest.fixture
def saved(tmp_path):
    return save_tiny_model(tmp_path / "saved")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = save_tiny_model(tmp_path_factory.mktemp("whole") / "saved")
    return folder, (folder / "model.safetensors").read_bytes()


def change_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_one_flipped_bit_of_the_weights_is_found(whole, place, bit):
    folder, content = whole
    changed = bytearray(content)
    changed[int(place * len(content))] ^= 1 << bit
    (folder / "model.safetensors").write_bytes(changed)
    with pytest.raises(ModelSourceError, match=r"model\.safetensors is not what was written"):
        read_model(str(folder))


def test_weights_changed_on_purpose_are_read_without_their_digest(whole):
    folder, content = whole
    (folder / "model.safetensors").write_bytes(content)
    load_model(str(folder), device="cpu")
    (folder / "model.safetensors").write_bytes(content[:-1] + b"\x01")
    (folder / DIGEST_FILE).unlink()
    load_model(str(folder), device="cpu")


def test_a_model_saved_again_has_digests_of_its_new_weights(saved):
    model = read_model(str(saved)).model
    model.classifier.fc2.bias.data += 1
    model.save_pretrained(saved)
    again = read_model(str(saved)).model
    assert again.classifier.fc2.bias.equal(model.classifier.fc2.bias)


@pytest.mark.parametrize("content", ["{", "[]", '{"sha256": 3}', '{"format": 1}'])
def test_damaged_digests_are_named(saved, content):
    (saved / DIGEST_FILE).write_text(content)
    with pytest.raises(ModelSourceError, match=f"{DIGEST_FILE} is damaged"):
        load_model(str(saved))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attn_implementation": "org/kernel@rev"}, "attn_implementation is 'org/kernel@rev'"),
        ({"_attn_implementation": {"": "org/kernel:f"}}, "expected eager or sdpa"),
        ({"_experts_implementation": "org/kernel"}, "expected eager or sdpa"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "quantization_config is"),
        ({"use_kernels": True}, "use_kernels is True"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers is 1000000, expected at most 1,000"),
        ({"patch_mlp_layers": 10**6}, "expected at most 1,000"),
        ({"num_labels": 10**8}, "num_labels is 100000000, expected at most 1,000,000"),
        ({"hidden_size": 10**12}, "expected at most 2,147,483,648"),
        ({"image_size": 10**6}, "image_size is 1000000, expected at most 8,192"),
        ({"intermediate_size": 500_000}, "describes a network of .* weights, but its files"),
        ({"num_hidden_layers": 900, "intermediate_size": 9999}, "describes a network of"),
        ({"backbone_config": {"depths": [2, 10**7]}}, "depths is .*expected at most 1,000"),
        ({"backbone_config": {"model_type": "vit", "attn_implementation": "a/b"}}, "eager or sdpa"),
    ],
)
def test_a_configuration_asks_for_nothing_foreign_and_for_no_absurd_size(saved, fields, message):
    change_config(saved, **fields)
    with pytest.raises(ModelSourceError, match=message) as caught:
        load_model(str(saved))
    assert str(saved) in str(caught.value)


def test_a_configuration_nested_deep_is_refused(saved):
    (saved / "config.json").write_text(
        '{"model_type": "raddiag", "a": ' + "[" * 10**5 + "]" * 10**5 + "}"
    )
    with pytest.raises(ModelSourceError, match="is nested deeper"):
        load_model(str(saved))


@pytest.mark.parametrize("shard", ["../model.safetensors", "/etc/passwd", "a/b.safetensors", 3])
def test_an_index_names_files_beside_it(saved, shard):
    index = {"metadata": {}, "weight_map": {"classifier.fc2.bias": shard}}
    (saved / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelSourceError, match="expected files beside it"):
        load_model(str(saved))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attn_implementation": "org/kernel"}, "expected eager or sdpa"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config"),
        ({"num_hidden_layers": 10**6}, "expected at most 1,000"),
        ({"model_args": {"checkpoint_path": "/x.bin"}}, "which names checkpoint_path"),
        ({"architecture": "hf_hub:org/name"}, "expected the name of an architecture"),
    ],
)
def test_a_backbone_is_read_by_the_same_rules(tmp_path, fields, message):
    config = BACKBONES["vit"][0].to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config | fields))
    with pytest.raises(ModelSourceError, match=message):
        load_backbone(str(tmp_path))


def test_a_model_with_a_backbone_is_not_refused(tmp_path):
    folder = save_tiny_model(tmp_path / "model", **tiny_backbone("vit"))
    load_model(str(folder), device="cpu")


def test_names_of_labels_are_no_settings():
    names = [f"label {place}" for place in range(1200)]
    names[1100:1102] = ["Atrioventricular block", "use_kernels"]
    check_configuration(
        {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}},
        "config.json",
    )
