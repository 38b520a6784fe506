"""The model room travels: saved as remote code, it is loaded without the package."""

import sys

import torch
from transformers import dynamic_module_utils

from raddiag_hf import RadDiagConfig, RadDiagForImageClassification
from tests.fixtures.models import packed_batch, tiny_model


def test_a_model_is_loaded_from_its_own_code(tmp_path, monkeypatch):
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    for kind, auto_class in (
        (RadDiagConfig, "AutoConfig"),
        (RadDiagForImageClassification, "AutoModelForImageClassification"),
    ):
        monkeypatch.setattr(kind, "_auto_class", auto_class)
    model = tiny_model()
    model.save_pretrained(tmp_path / "model")
    # The Auto classes would prefer the package, which is registered here.
    travelled = dynamic_module_utils.get_class_from_dynamic_module(
        model.config.auto_map["AutoModelForImageClassification"], tmp_path / "model"
    )
    assert travelled.__module__.startswith("transformers_modules.")
    batch = packed_batch([[3, 1], [8]])
    with torch.inference_mode():
        answer = travelled.from_pretrained(tmp_path / "model")(**batch)
        torch.testing.assert_close(answer.logits, model(**batch).logits)
