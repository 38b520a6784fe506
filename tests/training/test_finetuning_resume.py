"""A fine-tuning that was stopped, is damaged or finished: gone on with, made again or left."""

import shutil
from pathlib import Path

import pytest
import torch

from raddiag_hf.checkpoints.loading import read_model
from raddiag_hf.core.run_folder import RunFolder, RunFolderError, RunInProgressError
from raddiag_hf.evaluation.evaluation_folder import METRICS_FILE
from raddiag_hf.training.finetune_settings import (
    FinetuneSettings,
    Method,
)
from raddiag_hf.training.finetuning import RECORD_FILE, WORK_FOLDER, finetune
from tests.fixtures.finetuning import FAST, ON_CPU, SETTINGS


class Killed(BaseException):
    """Stands for a kill: nothing handles it."""


@pytest.mark.parametrize(("method", "step"), [(Method.FULL, 17), (Method.LORA, 11)])
def test_a_killed_run_ends_with_the_same_weights(finished, base, data, tmp_path, method, step):
    def kill(what, done, total):
        if done == step:
            raise Killed

    output = tmp_path / "out"
    with pytest.raises(Killed):
        finetune(str(base), data, output, SETTINGS[method], progress=kill)
    assert not (output / RECORD_FILE).exists()
    record = finetune(str(base), data, output, SETTINGS[method])
    expected_record, undisturbed = finished(method)
    expected = read_model(str(undisturbed)).model.state_dict()
    for name, weight in read_model(str(output)).model.state_dict().items():
        assert torch.equal(weight, expected[name]), name
    assert record == expected_record


@pytest.mark.parametrize(("method", "rate"), [(Method.FULL, 0.5), (Method.LORA, 0.1)])
def test_a_run_killed_after_its_last_epoch_trains_no_further(
    base, data, tmp_path, monkeypatch, method, rate
):
    """Training stops early here; what is left are thresholds, evaluation and saving."""
    settings = FinetuneSettings(
        method, learning_rate=rate, patience=1, exclusive=False, **(FAST | {"num_epochs": 9})
    )
    undisturbed = finetune(str(base), data, tmp_path / "undisturbed", settings)
    assert "of 9, by" not in undisturbed.selection, "it has to stop early"

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("raddiag_hf.training.driver._choose_decisions", kill)
        with pytest.raises(Killed):
            finetune(str(base), data, tmp_path / "out", settings)
    steps = []
    record = finetune(
        str(base),
        data,
        tmp_path / "out",
        settings,
        progress=lambda *step: steps.append(step),
    )
    assert steps == []
    assert record == undisturbed
    expected = read_model(str(tmp_path / "undisturbed")).model.state_dict()
    for name, weight in read_model(str(tmp_path / "out")).model.state_dict().items():
        assert torch.equal(weight, expected[name]), name


def test_features_are_extracted_once(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.training.methods.features.SHARD_CASES", 16)
    settings, output = SETTINGS[Method.LINEAR_PROBE], tmp_path / "out"

    def kill(what, done, total):
        if done > 32:
            raise Killed

    with pytest.raises(Killed):
        finetune(str(base), data, output, settings, progress=kill)
    shards = sorted((output / WORK_FOLDER).rglob("*.safetensors"))
    assert len(shards) == 2
    written = [shard.stat().st_mtime_ns for shard in shards]
    finetune(str(base), data, output, settings)
    assert [shard.stat().st_mtime_ns for shard in shards] == written


def test_a_finished_run_is_left_and_another_one_refused(finished, base, data):
    record, output = finished(Method.LINEAR_PROBE)
    weights = (output / "model.safetensors").stat().st_mtime_ns
    assert finetune(str(base), data, output, SETTINGS[Method.LINEAR_PROBE]) == record
    assert (output / "model.safetensors").stat().st_mtime_ns == weights
    other = FinetuneSettings(Method.LINEAR_PROBE, penalties=(3.0,), **ON_CPU)
    with pytest.raises(RunFolderError, match="holds a run that differs in penalties"):
        finetune(str(base), data, output, other)


def test_a_foreign_folder_is_not_written_to(base, data, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        finetune(str(base), data, tmp_path, SETTINGS[Method.LINEAR_PROBE])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_run_into_the_same_folder_is_told(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.core.run_folder.PATIENCE_S", 0.1)
    output = tmp_path / "out"
    with (
        RunFolder(output, work=output / WORK_FOLDER).lock(),
        pytest.raises(RunInProgressError, match="out: another run is at work there"),
    ):
        finetune(str(base), data, output, SETTINGS[Method.LINEAR_PROBE])


@pytest.fixture
def copied(finished, tmp_path):
    """The output of a linear probe, to damage."""
    return Path(shutil.copytree(finished(Method.LINEAR_PROBE)[1], tmp_path / "out"))


def test_a_finished_run_whose_weights_are_gone_is_made_again(finished, base, data, copied, caplog):
    (copied / "model.safetensors").unlink()
    record = finetune(str(base), data, copied, SETTINGS[Method.LINEAR_PROBE])
    assert record == finished(Method.LINEAR_PROBE)[0]
    assert "is gone, so the run is made again" in caplog.text
    read_model(str(copied))


@pytest.mark.parametrize("file", [f"{WORK_FOLDER}/run.json", RECORD_FILE])
@pytest.mark.parametrize("content", ['{"model": "ab', "[1]"])
def test_what_tells_of_a_run_and_is_damaged_is_one_error(base, data, copied, file, content):
    (copied / file).write_text(content)
    with pytest.raises(RunFolderError, match="is damaged") as caught:
        finetune(str(base), data, copied, SETTINGS[Method.LINEAR_PROBE])
    assert str(copied / file) in str(caught.value)


def test_a_finished_run_that_lost_its_card_or_metrics_is_made_again(base, data, tmp_path):
    settings = SETTINGS[Method.LINEAR_PROBE]
    record = finetune(str(base), data, tmp_path / "out", settings)
    for name in (METRICS_FILE, "README.md"):
        (tmp_path / "out" / name).unlink()
        assert finetune(str(base), data, tmp_path / "out", settings) == record
        assert (tmp_path / "out" / name).is_file()
