"""Two processes train as one does."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from safetensors.torch import load_file

from raddiag_hf.cli.train import ACCELERATE_CONFIGS, training_command
from raddiag_hf.core.checkpoint_folders import MARK, list_checkpoints
from raddiag_hf.training.train import train_recipe
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.recipes import quick_recipe, write_recipe, write_training_cases


def loss_curve(output):
    state = json.loads((list_checkpoints(output)[-1] / "trainer_state.json").read_text())
    names = ("loss", "loss_classification", "loss_key_slice")
    return [[entry[name] for name in names] for entry in state["log_history"] if "loss" in entry]


def test_two_ranks_that_accumulate_learn_what_one_rank_does(tmp_path):
    splits = {
        Split.TRAIN: numbered(range(24)),
        Split.VALIDATION: numbered(range(24, 46)),
        Split.TEST: numbered(range(46, 56)),
    }
    write_store(tmp_path / "cases", splits)
    cases = tmp_path / "cases"
    options = {"max_steps": 3, "save_steps": 3, "learning_rate": 0.05, "optim": "sgd"}
    options |= {"max_grad_norm": 0.5, "validate": True}
    alone = train_recipe(
        quick_recipe(cases, tmp_path / "one", per_device_train_batch_size=4, **options)
    )
    recipe = quick_recipe(
        cases,
        tmp_path / "two",
        per_device_train_batch_size=1,
        gradient_accumulation_steps=2,
        **options,
    )
    path = write_recipe(recipe, tmp_path / "recipe.yaml")
    command = training_command(str(path), [], num_processes=2, accelerate_config="ddp")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False,
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    one, two = loss_curve(tmp_path / "one"), loss_curve(tmp_path / "two")
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), rtol=1e-5, atol=2e-6)
    expected = load_file(alone / "model.safetensors")
    for name, weight in load_file(tmp_path / "two" / "model" / "model.safetensors").items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-6)
    decisions = [
        json.loads((folder / "config.json").read_text())["decision_thresholds"]
        for folder in (alone, tmp_path / "two" / "model")
    ]
    torch.testing.assert_close(*map(torch.tensor, decisions), rtol=1e-3, atol=1e-4)
    metrics = [
        json.loads((folder / "metrics.json").read_text())["groups"]["auc"][-1]
        for folder in (alone, tmp_path / "two" / "model")
    ]
    assert metrics[0] == pytest.approx(metrics[1], abs=1e-3)


@pytest.mark.slow
def test_two_ranks_that_are_killed_end_with_the_same_weights(tmp_path):
    cases = write_training_cases(tmp_path / "cases")
    augmented = {"key_slice_probability": 0.5, "scan_drop_probability": 0.3}
    options = {"per_device_train_batch_size": 2, "num_train_epochs": 6, "save_steps": 4}

    def start(output):
        recipe = quick_recipe(cases, output, augmentation=augmented, **options)
        path = write_recipe(recipe, tmp_path / f"{output.name}.yaml")
        return subprocess.Popen(
            training_command(str(path), [], num_processes=2, accelerate_config="ddp"),
            env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that launcher and ranks can be killed together
        )

    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert start(undisturbed).wait(500) == 0
    process = start(killed)
    try:
        while not list(killed.glob(f"checkpoint-*/{MARK}")):
            assert process.poll() is None, "the training ended before its first checkpoint"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (killed / "model").exists()
    assert start(killed).wait(500) == 0
    expected = load_file(undisturbed / "model" / "model.safetensors")
    found = load_file(killed / "model" / "model.safetensors")
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "deepspeed"])
def test_accelerate_reads_the_shipped_configurations(name):
    assert load_config_from_file(str(ACCELERATE_CONFIGS / f"{name}.yaml")).num_processes == 2


def test_one_process_needs_no_launcher():
    command = training_command("pretrain", ["output=run"], None, None)
    expected = ["-m", "raddiag_hf.training.train", "pretrain", "--overrides", "output=run"]
    assert command == [sys.executable, *expected]
