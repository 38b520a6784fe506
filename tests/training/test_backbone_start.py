"""A vision backbone is fine-tuned as any other model, by every method."""

from dataclasses import replace

import pytest
import torch
from transformers import Dinov2Model

from raddiag_hf import diagnose_case, explain_case
from raddiag_hf.checkpoints.backbones import load_backbone
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.inference.case import pack_case
from raddiag_hf.inference.embedding import embed_scans
from raddiag_hf.training.finetune_settings import FinetuneSettings, Method
from raddiag_hf.training.finetuning import finetune
from raddiag_hf.vocabulary import Modality
from tests.fixtures.cases import LABELS, make_scan
from tests.fixtures.finetuning import write_visible_store
from tests.fixtures.models import BACKBONES

FAST = {
    "num_workers": 0, "device": "cpu", "num_epochs": 1, "batch_size": 6, "augmentation": "none",
}  # fmt: skip
SETTINGS = {
    Method.LINEAR_PROBE: FinetuneSettings(Method.LINEAR_PROBE, num_workers=0, device="cpu"),
    Method.LORA: FinetuneSettings(Method.LORA, lora_rank=2, **FAST),
    Method.FULL: FinetuneSettings(Method.FULL, **FAST),
}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    Dinov2Model(BACKBONES["dinov2"][0]).save_pretrained(folder / "dinov2")
    loaded = load_backbone(str(folder / "dinov2"), max_slices=8)
    loaded.model.save_pretrained(folder / "model")
    loaded.processor.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    write_visible_store(folder, train=18, validation=12, test=6)
    return folder


@pytest.mark.parametrize("method", SETTINGS)
def test_each_method_ends_with_a_model_that_diagnoses_and_explains(start, data, tmp_path, method):
    output = tmp_path / "out"
    finetune(str(start), data, output, SETTINGS[method])
    loaded = load_model(str(output), device="cpu")
    assert loaded.model.config.backbone == "dinov2"
    scans = [make_scan(0, (6, 32, 32))]
    diagnosis = diagnose_case(loaded.model, loaded.processor, scans)
    assert {finding.label for finding in diagnosis.findings} == set(LABELS.names)
    explanation = explain_case(loaded.model, loaded.processor, scans)
    assert explanation.scans[0].saliency.layer == "features"


@pytest.mark.parametrize("method", [Method.LINEAR_PROBE, Method.FULL])
def test_ct_windows_are_learnt_and_stay_with_the_model(start, data, tmp_path, method):
    windows = ("lung", "mediastinum", "bone")
    settings = replace(SETTINGS[method], ct_channel_windows=windows)
    if method is Method.FULL:
        settings = replace(settings, augmentation="light")
    record = finetune(f"backbone:{start.parent / 'dinov2'}", data, tmp_path / "out", settings)
    assert record.hyperparameters["ct_channel_windows"] == list(windows)
    loaded = load_model(str(tmp_path / "out"), device="cpu")
    assert loaded.processor.ct_channel_windows == list(windows)
    scans = [make_scan(0, (6, 32, 32)), make_scan(1, (1, 32, 32), Modality.XRAY)]
    pixels = pack_case(loaded.model, loaded.processor, scans)["pixel_values"]
    assert pixels.shape == (7, 3, 32, 32)
    assert not torch.equal(pixels[:6, 0], pixels[:6, 1])
    assert torch.equal(pixels[6, 0], pixels[6, 1])
    assert diagnose_case(loaded.model, loaded.processor, scans).findings
    assert len(embed_scans(loaded.model, loaded.processor, scans)) == 2
    explained = explain_case(loaded.model, loaded.processor, scans).scans
    assert [one.saliency.values.shape for one in explained] == [(6, 4, 4), (1, 4, 4)]
