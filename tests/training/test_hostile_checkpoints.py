"""Checkpoints of others in a run: no code of theirs runs, and one line says which they are."""

import pickle
from pathlib import Path

import pytest
import torch

from raddiag_hf.core.checkpoint_folders import (
    CheckpointDamagedError,
    list_checkpoints,
    mark_complete,
)
from raddiag_hf.training.train import train_recipe
from raddiag_hf.training.trainer import RadDiagTrainer
from tests.fixtures.recipes import quick_recipe, write_training_cases


class PowerCut(BaseException):
    """Ends the training."""


class Touch:
    """A pickle that would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_training_cases(tmp_path_factory.mktemp("cases") / "cases")


@pytest.fixture
def interrupted(cases, tmp_path, monkeypatch):
    """A recipe whose run was cut after its first checkpoint, and that checkpoint."""
    recipe = quick_recipe(cases, tmp_path / "run", num_train_epochs=2, save_steps=2)
    real = RadDiagTrainer.training_step

    def step_or_cut(trainer, *given, **named):
        if trainer.state.global_step == 3:
            raise PowerCut
        return real(trainer, *given, **named)

    with monkeypatch.context() as power:
        power.setattr(RadDiagTrainer, "training_step", step_or_cut)
        with pytest.raises(PowerCut):
            train_recipe(recipe)
    return recipe, list_checkpoints(tmp_path / "run")[-1]


def code(path: Path, touched: Path) -> None:
    torch.save({"state": Touch(touched)}, path)


def bare_code(path: Path, touched: Path) -> None:
    path.write_bytes(pickle.dumps(Touch(touched)))


def other_state(path: Path, touched: Path) -> None:
    torch.save({"state": {}, "param_groups": []}, path)


def nothing(path: Path, touched: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("optimizer.pt", code),
        ("optimizer.pt", bare_code),
        ("optimizer.pt", other_state),
        ("optimizer.pt", nothing),
        ("scheduler.pt", code),
        ("rng_state.pth", code),
    ],
)
def test_foreign_files_in_a_checkpoint_end_in_one_line(interrupted, tmp_path, name, spoil):
    recipe, checkpoint = interrupted
    spoil(checkpoint / name, tmp_path / "touched")
    mark_complete(checkpoint)
    with pytest.raises(CheckpointDamagedError, match="cannot be resumed from") as caught:
        train_recipe(recipe)
    assert str(checkpoint) in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "touched").exists()
