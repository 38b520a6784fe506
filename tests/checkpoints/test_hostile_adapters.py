"""Adapters of others: plain LoRA on named modules, or refused by field, in no time."""

import json
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.model.weight_digests import DIGEST_FILE
from raddiag_hf.training.methods.adapters import attach_adapters, save_adapters
from tests.fixtures.models import tiny_model

CATASTROPHIC = "(a+)+$" * 3


@pytest.fixture
def adapters(tmp_path):
    model = tiny_model(freeze_batch_norm=True)
    model.save_pretrained(tmp_path / "base")
    save_adapters(attach_adapters(model, rank=2), tmp_path / "lora", str(tmp_path / "base"), None)
    RadDiagImageProcessor(image_size=32, max_slices=8).save_pretrained(tmp_path / "lora")
    return tmp_path / "lora"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "XLORA"}, "peft_type is 'XLORA', expected LORA"),
        ({"target_modules": ".*fc1"}, "target_modules is '.*fc1', expected a list of names"),
        ({"target_modules": [CATASTROPHIC]}, "target_modules"),
        ({"modules_to_save": "classifier"}, "modules_to_save"),
        ({"rank_pattern": {CATASTROPHIC: 4}}, "rank_pattern"),
        ({"alpha_pattern": {"fc1": "4"}}, "alpha_pattern"),
        ({"layers_pattern": [CATASTROPHIC]}, "layers_pattern"),
        ({"r": 10**9}, "r is 1000000000, expected a number from 1 to 4096"),
        ({"r": "2"}, "r is '2'"),
        ({"lora_alpha": [1]}, "lora_alpha"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"auto_mapping": {"base_model_class": "x", "parent_library": "os"}}, "auto_mapping"),
        ({"eva_config": {"rho": 2}}, "eva_config"),
        ({"megatron_config": {"a": 1}}, "megatron_config"),
    ],
)
def test_settings_that_are_not_plain_are_refused(adapters, fields, message):
    path = adapters / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    start = time.monotonic()
    with pytest.raises(ModelSourceError, match=message.replace("*", r"\*").replace("[", r"\[")):
        load_model(str(adapters))
    assert time.monotonic() - start < 5


def test_tensors_that_belong_to_no_module_are_refused(adapters):
    (adapters / DIGEST_FILE).unlink()
    weights = load_file(adapters / "adapter_model.safetensors")
    weights["base_model.model.absent.lora_A.weight"] = torch.ones(2, 32)
    save_file(weights, adapters / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelSourceError, match=r"1 tensors of its adapters belong to no module.*absent"
    ):
        load_model(str(adapters))


def test_damaged_adapters_are_found(adapters):
    path = adapters / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(
        ModelSourceError, match=r"adapter_model.safetensors is not what was written"
    ):
        load_model(str(adapters))


def test_our_own_adapters_are_read(adapters):
    load_model(str(adapters), device="cpu")
