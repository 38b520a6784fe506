"""A killed training goes on, and ends as if nothing had happened."""

import itertools
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from raddiag_hf.core.checkpoint_folders import MARK, list_checkpoints
from raddiag_hf.core.run_folder import RESULT_FOLDER, RunFolderError
from raddiag_hf.training.train import train_recipe
from raddiag_hf.training.trainer import RadDiagTrainer
from tests.fixtures.recipes import quick_recipe, write_recipe, write_training_cases

AUGMENTED = {"key_slice_probability": 0.5, "scan_drop_probability": 0.3}
LONG_ENOUGH = {"num_train_epochs": 6, "save_steps": 4, "save_total_limit": 3}
"""36 steps: checkpoints within epochs and at their ends."""


@pytest.fixture(autouse=True)
def one_thread():
    """Sums of several threads may differ in their last bit between processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_training_cases(tmp_path_factory.mktemp("cases") / "cases")


class PowerCut(BaseException):
    """Ends the process, as far as a test can without ending itself."""


def cut_power(*_):
    raise PowerCut


def recipe_for(cases, output):
    return quick_recipe(cases, output, augmentation=AUGMENTED, **LONG_ENOUGH)


@pytest.fixture(scope="module")
def undisturbed(cases, tmp_path_factory):
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    torch.set_num_threads(1)
    return load_file(train_recipe(recipe_for(cases, output)) / "model.safetensors")


def differing(folder, expected):
    found = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    return [name for name, weight in expected.items() if not torch.equal(found[name], weight)]


def test_a_run_killed_at_a_random_moment_ends_with_the_same_weights(cases, undisturbed, tmp_path):
    output = tmp_path / "run"
    recipe = recipe_for(cases, output)
    path = write_recipe(recipe, tmp_path / "recipe.yaml")
    process = subprocess.Popen(
        [sys.executable, "-m", "raddiag_hf.training.train", str(path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not list(output.glob(f"checkpoint-*/{MARK}")):
            assert process.poll() is None, "the training ended before its first checkpoint"
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.6))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (output / "model").exists()
    assert differing(train_recipe(recipe), undisturbed) == []


def test_a_truncated_newest_checkpoint_is_skipped_with_a_warning(
    cases, undisturbed, tmp_path, caplog, monkeypatch
):
    output = tmp_path / "run"

    with monkeypatch.context() as power:
        power.setattr("raddiag_hf.training.driver._save", cut_power)
        with pytest.raises(PowerCut):
            train_recipe(recipe_for(cases, output))
    *_, before, newest = list_checkpoints(output)
    weights = newest / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])

    with caplog.at_level("INFO", logger="raddiag_hf"):
        folder = train_recipe(recipe_for(cases, output))
    assert f"{newest}: model.safetensors has" in caplog.text
    assert f"resuming from {before}" in caplog.text
    assert differing(folder, undisturbed) == []


def test_a_run_killed_before_its_model_was_written_only_writes_it(
    cases, undisturbed, tmp_path, monkeypatch
):
    output = tmp_path / "run"
    folder = train_recipe(recipe_for(cases, output))
    folder.rename(output / RESULT_FOLDER)

    def no_training(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr("raddiag_hf.training.trainer.RadDiagTrainer.train", no_training)
    assert differing(train_recipe(recipe_for(cases, output)), undisturbed) == []


def worse_each_time():
    """A metric by which the first checkpoint is the best."""
    evaluations = itertools.count()
    return lambda _: {"auc": 1 / (1 + next(evaluations)), "ap": 0.5, "evaluated_labels": 3}


def validated(cases, output, **training):
    return quick_recipe(cases, output, validate=True, num_train_epochs=1, eval_steps=2, **training)


def test_the_last_weights_stay_the_last_where_the_recipe_wants_them(cases, tmp_path, monkeypatch):
    recipe = validated(cases, tmp_path / "run", load_best_model_at_end=False)
    monkeypatch.setattr("raddiag_hf.training.methods.weights.macro_metrics", worse_each_time())
    with monkeypatch.context() as power:
        power.setattr("raddiag_hf.training.driver._save", cut_power)
        with pytest.raises(PowerCut):
            train_recipe(recipe)
    last = load_file(tmp_path / "run" / "checkpoint-6" / "model.safetensors")
    assert differing(train_recipe(recipe), last) == []


@pytest.mark.parametrize("cut_at", ["methods.weights.RadDiagTrainer.training_step", "driver._save"])
def test_the_best_weights_are_found_where_the_run_was_moved_to_and_nothing_replaces_them(
    cases, tmp_path, monkeypatch, cut_at
):
    monkeypatch.setattr("raddiag_hf.training.methods.weights.macro_metrics", worse_each_time())
    real = RadDiagTrainer.training_step

    def step_or_cut(trainer, *given, **named):
        return cut_power() if trainer.state.global_step == 5 else real(trainer, *given, **named)

    with monkeypatch.context() as power:
        cut = cut_power if cut_at == "driver._save" else step_or_cut
        power.setattr(f"raddiag_hf.training.{cut_at}", cut)
        with pytest.raises(PowerCut):
            train_recipe(validated(cases, tmp_path / "before"))
    moved = (tmp_path / "before").rename(tmp_path / "after")
    weights = moved / "checkpoint-2" / "model.safetensors"
    best = weights.read_bytes()
    weights.unlink()
    with pytest.raises(RunFolderError, match="checkpoint-2: is the best checkpoint so far"):
        train_recipe(validated(cases, moved))
    (moved / "damaged-checkpoint-2").rename(moved / "checkpoint-2")
    weights.write_bytes(best)
    assert differing(train_recipe(validated(cases, moved)), load_file(weights)) == []
