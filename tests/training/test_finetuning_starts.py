"""Fine-tuning from random weights and from a backbone, and what is said where nothing is learnt."""

import pytest
import torch
from transformers import AutoModelForImageClassification, Dinov2Model

from raddiag_hf.checkpoints.loading import load_model, read_model
from raddiag_hf.training.finetune_settings import FinetuneSettings, Method
from raddiag_hf.training.finetuning import finetune
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.finetuning import FAST, ON_CPU, write_visible_store
from tests.fixtures.models import BACKBONES


def test_without_a_model_a_small_network_learns_from_random_weights(data, tmp_path):
    settings = FinetuneSettings(
        num_workers=0, device="cpu", num_epochs=6, image_size=32, augmentation="none"
    )
    record = finetune(None, data, tmp_path / "out", settings)
    assert (record.base_model, record.method) == (None, "full")
    table = record.metrics["groups"]
    assert table["auc"][table["group"].index("all")] > 0.8
    assert record.choices[0].startswith("Start: random weights, for no model was named")
    assert record.hyperparameters["train_batch_norm"]
    assert record.head.startswith("one linear layer, from scratch")
    assert "# RadDiag, trained on" in (tmp_path / "out" / "README.md").read_text()
    loaded = read_model(str(tmp_path / "out"))
    assert (loaded.model.config.image_size, loaded.processor.image_size) == (32, 32)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone") / "dinov2"
    torch.manual_seed(0)
    Dinov2Model(BACKBONES["dinov2"][0]).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("method", [None, Method.LORA, Method.FULL])
def test_a_backbone_is_probed_adapted_or_trained_and_saved_whole(backbone, data, tmp_path, method):
    rate = {Method.LORA: 3e-2, Method.FULL: 3e-3}.get(method)
    options = ON_CPU | {"image_size": 32}
    if method is not None:
        options |= {"learning_rate": rate, "num_epochs": 8, "augmentation": "none"}
    settings = FinetuneSettings(method, **options)
    record = finetune(f"backbone:{backbone}", data, tmp_path / "out", settings)
    assert record.base_model == "dinov2"
    assert not record.is_adapter
    table = record.metrics["groups"]
    assert table["auc"][table["group"].index("all")] > 0.8
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "out")
    assert model.config.encoder_type == "backbone"
    assert not list((tmp_path / "out").glob("adapter*"))


def test_a_training_that_cannot_learn_says_so_and_saves_no_confident_card(tmp_path, caplog):
    splits = {Split.TRAIN: range(60), Split.VALIDATION: range(60, 100)}
    write_store(tmp_path / "noise", {name: numbered(one) for name, one in splits.items()})
    settings = FinetuneSettings(
        Method.FULL, learning_rate=1e-9, train_batch_norm=False, image_size=32, **FAST
    )
    record = finetune("scratch", tmp_path / "noise", tmp_path / "out", settings)
    assert "the loss on validation was never below" in caplog.text
    told = " ".join(record.warnings)
    assert "no better than the frequency" in told or "the same answer" in told
    card = (tmp_path / "out" / "README.md").read_text()
    assert "**Not to be relied on:**" in card.split("## Use")[0]


@pytest.mark.parametrize("method", Method)
def test_a_run_on_twenty_cases_ends_with_a_warning_by_every_method(
    base, backbone, tmp_path, caplog, method
):
    write_visible_store(tmp_path / "few", train=12, validation=4, test=4)
    start = {Method.FULL: "scratch", Method.ATTENTIVE_PROBE: f"backbone:{backbone}"}
    options = ON_CPU | ({"num_epochs": 1} if method in (Method.FULL, Method.LORA) else {})
    options |= {"image_size": 32} if method in start else {}
    settings = FinetuneSettings(method, **options)
    address = start.get(method, str(base))
    record = finetune(address, tmp_path / "few", tmp_path / "out", settings)
    assert "there are 12 training cases, fewer than 50" in caplog.text, "before it trains"
    assert record.warnings[0].startswith("there are 12 training cases")
    assert load_model(str(tmp_path / "out"), device="cpu").domain.warnings == record.warnings
    card = (tmp_path / "out" / "README.md").read_text()
    assert "**Not to be relied on:** there are 12 training cases" in card.split("## Use")[0]
    assert "not calibrated: 4 validation cases, fewer than 10" in record.threshold_source


def test_runs_that_name_a_folder_of_features_share_them(backbone, data, tmp_path):
    options = ON_CPU | {"image_size": 32, "features": tmp_path / "kept"}
    for seed in (0, 1):
        settings = FinetuneSettings(seed=seed, **options)
        finetune(f"backbone:{backbone}", data, tmp_path / f"out-{seed}", settings)
    (folder,) = (tmp_path / "kept").iterdir()
    assert len(list(folder.glob("*.safetensors"))) == 4  # two of 60 training cases
