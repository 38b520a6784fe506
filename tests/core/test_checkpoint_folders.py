"""Only complete checkpoints count."""

import json

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from raddiag_hf.core.checkpoint_folders import (
    MARK,
    CheckpointKeeper,
    find_damage,
    last_complete_checkpoint,
    list_checkpoints,
    mark_complete,
)


def write_checkpoint(run, step, complete=True):
    folder = run / f"checkpoint-{step}"
    (folder / "shards").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights" * step)
    (folder / "shards" / "0.pt").write_bytes(b"state")
    if complete:
        mark_complete(folder)
    return folder


def test_the_latest_complete_checkpoint_is_found(tmp_path):
    for step in (9, 10, 100):
        write_checkpoint(tmp_path, step)
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
    assert last_complete_checkpoint(tmp_path / "nothing") is None


def test_a_half_written_checkpoint_is_removed_with_a_warning(tmp_path, caplog):
    good, half = write_checkpoint(tmp_path, 1), write_checkpoint(tmp_path, 2, complete=False)
    assert last_complete_checkpoint(tmp_path) == good
    assert not half.exists()
    assert "checkpoint-2: was not written to its end; it is not used" in caplog.text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "has 13 of 14 bytes"),
        (lambda file: file.write_bytes(b"WEIGHTS" * 2), "is not what was written"),
        (lambda file: file.unlink(), "is missing"),
    ],
)
def test_a_damaged_checkpoint_is_set_aside_with_a_warning(tmp_path, caplog, damage, message):
    good, bad = write_checkpoint(tmp_path, 1), write_checkpoint(tmp_path, 2)
    damage(bad / "model.safetensors")
    assert last_complete_checkpoint(tmp_path) == good
    assert message in caplog.text
    assert (tmp_path / "damaged-checkpoint-2").is_dir()
    assert list_checkpoints(tmp_path) == [good]


def test_a_damaged_mark_is_damage(tmp_path):
    folder = write_checkpoint(tmp_path, 1)
    (folder / MARK).write_text(json.dumps({})[:1])
    assert find_damage(folder) == "complete.json is damaged"


def save_and_keep(run, steps, keep, best=None):
    keeper = CheckpointKeeper(keep)
    arguments = TrainingArguments(str(run), use_cpu=True)
    for step in steps:
        write_checkpoint(run, step, complete=False)
        state = TrainerState(global_step=step, best_model_checkpoint=best and str(run / best))
        keeper.on_save(arguments, state, TrainerControl())
    return [folder.name for folder in list_checkpoints(run)]


def test_the_latest_and_the_best_stay(tmp_path):
    found = save_and_keep(tmp_path, [1, 2, 3, 4], keep=2, best="checkpoint-1")
    assert found == ["checkpoint-1", "checkpoint-3", "checkpoint-4"]
    assert all(find_damage(tmp_path / name) is None for name in found)


def test_all_stay_if_wished(tmp_path):
    assert len(save_and_keep(tmp_path, [1, 2, 3], keep=None)) == 3
    with pytest.raises(ValueError, match="keep is 0"):
        CheckpointKeeper(0)
