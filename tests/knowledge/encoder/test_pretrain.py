"""Pre-training a tiny encoder: it learns, resumes exactly, and leaves what it promises."""

import json

import pytest
import torch

from raddiag_hf.core import run_folder
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.run_folder import RESULT_FOLDER, RunFolderError, RunInProgressError
from raddiag_hf.core.trainer import TrainingDivergedError
from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.corpus_file import write_corpus
from raddiag_hf.knowledge.corpus.pairs import build_pairs
from raddiag_hf.knowledge.encoder.pretrain import (
    freeze_layers,
    pretrain_encoder,
)
from raddiag_hf.knowledge.encoder.pretraining_run import PretrainingError, run_pretraining
from raddiag_hf.knowledge.encoder.pretraining_settings import PretrainingSettings
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from tests.fixtures.concepts import concept_tree
from tests.fixtures.text_encoders import tiny_text_encoder

SETTINGS = PretrainingSettings(
    batch_size=8, chunk_size=8, max_steps=6, learning_rate=3e-3, save_steps=3, max_length=32
)


@pytest.fixture(scope="module")
def pairs():
    return build_pairs(concept_tree(), HeldOut(0, 0))[0]


@pytest.fixture
def base(tmp_path):
    tiny_text_encoder().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def corpus(tmp_path):
    pairs, _ = build_pairs(concept_tree(), HeldOut(0.2, 0.3, seed=4))
    write_corpus(pairs, tmp_path / "corpus.parquet")
    return tmp_path / "corpus.parquet"


class InterruptedRunError(Exception):
    """The machine was needed for something else."""


def interrupt_at(stop):
    def report(what, done, total):
        if done == stop:
            raise InterruptedRunError

    return report


def test_the_loss_falls_and_temperature_and_weights_move(tmp_path, pairs):
    encoder = tiny_text_encoder()
    before = encoder.encode(["cyst of the lung"])
    settings = PretrainingSettings(batch_size=16, max_steps=20, learning_rate=3e-3)
    log = pretrain_encoder(encoder, pairs, settings, tmp_path)
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[-1] < losses[0]
    assert not torch.equal(before, encoder.encode(["cyst of the lung"]))
    assert not encoder.training


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path, pairs):
    whole, parts = tiny_text_encoder(), tiny_text_encoder()
    pretrain_encoder(whole, pairs, SETTINGS, tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        pretrain_encoder(parts, pairs, SETTINGS, tmp_path / "parts", interrupt_at(5))
    parts = tiny_text_encoder()
    pretrain_encoder(parts, pairs, SETTINGS, tmp_path / "parts")
    assert parts.fingerprint == whole.fingerprint != tiny_text_encoder().fingerprint


def test_frozen_layers_stay_as_they_are(tmp_path, pairs):
    encoder, untouched = tiny_text_encoder(), tiny_text_encoder().model.state_dict()
    settings = PretrainingSettings(
        batch_size=8, max_steps=2, learning_rate=1e-2, frozen_layers=1, warmup=0.0
    )
    pretrain_encoder(encoder, pairs, settings, tmp_path)
    moved = {
        name
        for name, weight in encoder.model.state_dict().items()
        if not torch.equal(weight, untouched[name])
    }
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)
    with pytest.raises(ValueError, match="cannot freeze 3 layers of an encoder of 2"):
        freeze_layers(encoder, 3)


def test_a_run_leaves_encoder_metrics_and_its_description(tmp_path, base, corpus):
    result = run_pretraining(base, corpus, tmp_path / "encoder", SETTINGS)
    saved = TextEncoder.from_pretrained(tmp_path / "encoder")
    assert saved.fingerprint == result.encoder.fingerprint
    metrics = json.loads((tmp_path / "encoder/metrics.json").read_text())
    assert metrics["fingerprint"] == saved.fingerprint
    for split in ("validation", "test"):
        recall = metrics[split]["synonym_recall@1"]
        assert 0 <= recall["base"]["value"] <= 1
        assert recall["base"]["low"] is None  # of so few families
        assert recall["queries"] > recall["clusters"] > 0
    run = json.loads((tmp_path / "encoder/pretraining.json").read_text())
    assert run["base_fingerprint"] == TextEncoder.from_pretrained(base).fingerprint
    assert run["settings"]["learning_rate"] == 3e-3
    assert not (tmp_path / "encoder/checkpoints").exists()
    with pytest.raises(PretrainingError, match="holds a pre-trained encoder already"):
        run_pretraining(base, corpus, tmp_path / "encoder", SETTINGS)


def test_an_interrupted_run_goes_on_only_as_it_began(tmp_path, base, corpus):
    output = tmp_path / "encoder"
    with pytest.raises(InterruptedRunError):
        run_pretraining(base, corpus, output, SETTINGS, progress=interrupt_at(4))
    others = PretrainingSettings(**{**vars(SETTINGS), "learning_rate": 1e-3})
    with pytest.raises(RunFolderError, match=r"differs in settings\.learning_rate"):
        run_pretraining(base, corpus, output, others)
    steps = []
    run_pretraining(
        base, corpus, output, SETTINGS, progress=lambda what, done, total: steps.append(done)
    )
    assert steps == [4, 5, 6]


def test_a_run_that_was_killed_while_it_wrote_goes_on(tmp_path, base, corpus, caplog):
    output = tmp_path / "encoder"
    with pytest.raises(InterruptedRunError):
        run_pretraining(base, corpus, output, SETTINGS, progress=interrupt_at(4))
    (output / "checkpoints/checkpoint-5").mkdir()
    (output / "checkpoints/checkpoint-5/model.safetensors").write_bytes(b"half of")
    staging = output / "checkpoints" / RESULT_FOLDER
    staging.mkdir()
    (staging / "model.safetensors").write_bytes(b"half of")
    steps = []
    run_pretraining(
        base, corpus, output, SETTINGS, progress=lambda what, done, total: steps.append(done)
    )
    assert steps == [4, 5, 6]
    assert "checkpoint-5: was not written to its end; it is not used" in caplog.text
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_anew(tmp_path, base, corpus):
    output = tmp_path / "encoder"
    (output / "checkpoints/checkpoint-3").mkdir(parents=True)
    (output / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="is not empty and holds no run to resume"):
        run_pretraining(base, corpus, output, SETTINGS)
    (output / "thesis.tex").unlink()
    run_pretraining(base, corpus, output, SETTINGS)
    assert not (output / "checkpoints").exists()


def test_two_runs_are_not_at_work_in_one_folder(tmp_path, base, corpus, monkeypatch):
    monkeypatch.setattr(run_folder, "PATIENCE_S", 0.1)
    output = tmp_path / "encoder"
    refused = []

    def begin_another(step, done, total):
        with pytest.raises(RunInProgressError, match="another run is at work there"):
            run_pretraining(base, corpus, output, SETTINGS)
        refused.append(done)

    run_pretraining(base, corpus, output, SETTINGS, progress=begin_another)
    assert refused == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("steps", [1, 3])
def test_a_diverged_training_ends_and_saves_nothing(tmp_path, pairs, steps):
    settings = PretrainingSettings(batch_size=8, max_steps=steps, learning_rate=1e36, warmup=0.0)
    encoder = tiny_text_encoder()
    with pytest.raises(TrainingDivergedError, match=r"step \d.* too high for this encoder"):
        pretrain_encoder(encoder, pairs, settings, tmp_path / "checkpoints")
    assert steps == 1 or not list(tmp_path.glob("checkpoints/checkpoint-*"))


def test_processes_that_would_not_train_together_are_refused(tmp_path, base, corpus, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PretrainingError, match="2 processes were started, but 1 would train"):
        run_pretraining(base, corpus, tmp_path / "encoder", SETTINGS)
    assert not (tmp_path / "encoder").exists()


def test_kinds_that_no_batch_holds_are_named(tmp_path, base, corpus, caplog):
    settings = PretrainingSettings(**{**vars(SETTINGS), "batch_size": 32, "max_steps": 1})
    run_pretraining(base, corpus, tmp_path / "encoder", settings)
    assert "fewer pairs than a batch of 32: description (" in caplog.text
    assert "hierarchy" not in caplog.text


def test_settings_out_of_range_are_refused():
    for changes in ({"learning_rate": float("nan")}, {"batch_size": 1}, {"max_length": "long"}):
        with pytest.raises(InputError, match=f"{next(iter(changes))} is .*, expected"):
            PretrainingSettings(**changes)


def test_what_cannot_start_is_refused_before_anything_is_written(tmp_path, base, corpus):
    output = tmp_path / "encoder"
    for changes, reason in (
        ({"batch_size": 500}, "hold no batch of 500"),
        ({"frozen_layers": 9}, "^cannot freeze 9 layers"),
        ({"frozen_layers": 2}, "^with 2 of 2 layers frozen, nothing is left to train"),
        ({"max_steps": None, "num_epochs": 0.0}, r"epochs are 0.0, expected more than 0"),
        ({"learning_rate": 1e38}, "learning_rate is 1e\\+38, expected more than 0, at most 1"),
    ):
        settings = PretrainingSettings(**{**vars(SETTINGS), **changes})
        with pytest.raises(PretrainingError, match=reason):
            run_pretraining(base, corpus, output, settings)
    assert not output.exists()
    output.mkdir()
    (output / "thesis.tex").write_text("")
    with pytest.raises(RunFolderError, match="is not empty and holds no run to resume"):
        run_pretraining(base, corpus, output, SETTINGS)
