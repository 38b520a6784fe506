"""An output folder belongs to one run at a time, of one recipe and its data."""

from dataclasses import replace

import pytest

from raddiag_hf.core.run_folder import RUN_FILE, RunFolder, RunFolderError, RunInProgressError
from raddiag_hf.training.recipe import ModelSection
from raddiag_hf.training.train import train_recipe
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.recipes import quick_recipe, write_training_cases
from tests.fixtures.saved_models import save_tiny_model


class Claimed(BaseException):
    """The run has its folder; these tests train nothing."""


@pytest.fixture
def cases(tmp_path):
    return write_training_cases(tmp_path / "cases")


@pytest.fixture
def claim(monkeypatch):
    """Claim the folder of a recipe, and stop before anything is trained."""

    def stop(*_, **__):
        raise Claimed

    monkeypatch.setattr("raddiag_hf.training.train.fit_weights", stop)

    def run(recipe):
        with pytest.raises(Claimed):
            train_recipe(recipe)

    return run


def test_data_that_were_made_anew_are_other_data(cases, tmp_path, claim):
    recipe = quick_recipe(cases, tmp_path / "run", validate=True)
    claim(recipe)
    claim(recipe)
    others = {Split.TRAIN: numbered(range(24)), Split.VALIDATION: numbered(range(30, 40))}
    write_store(tmp_path / "others", others)
    cases.rename(tmp_path / "moved")
    (tmp_path / "others").rename(cases)
    with pytest.raises(RunFolderError, match=r"differs in data\.validation; name another"):
        train_recipe(recipe)


def test_a_checkpoint_that_was_replaced_is_another(tmp_path, claim):
    labels = {
        "num_labels": 3,
        "id2label": dict(enumerate(["Normal", "Pneumothorax", "Hip fracture"])),
    }
    checkpoint = save_tiny_model(tmp_path / "start", **labels)
    cases = write_training_cases(tmp_path / "cases")
    section = ModelSection(checkpoint=str(checkpoint), batch_norm="frozen")
    recipe = replace(quick_recipe(cases, tmp_path / "run"), model=section)
    claim(recipe)
    claim(recipe)
    save_tiny_model(tmp_path / "start", seed=1, **labels)
    with pytest.raises(RunFolderError, match="differs in checkpoint"):
        train_recipe(recipe)


def test_what_decides_no_weight_may_change(cases, tmp_path, claim):
    """Two cases of four processes make the same steps as eight of one."""
    claim(quick_recipe(cases, tmp_path / "run", per_device_train_batch_size=4))
    claim(
        quick_recipe(
            cases,
            tmp_path / "run",
            per_device_train_batch_size=2,
            gradient_accumulation_steps=2,
            logging_steps=7,
        )
    )
    with pytest.raises(RunFolderError, match=r"differs in cases_per_step"):
        train_recipe(quick_recipe(cases, tmp_path / "run", per_device_train_batch_size=8))


def test_a_damaged_record_of_a_run_is_said(cases, tmp_path, claim):
    recipe = quick_recipe(cases, tmp_path / "run")
    claim(recipe)
    record = tmp_path / "run" / RUN_FILE
    record.write_text(record.read_text()[:40])
    with pytest.raises(RunFolderError, match=r"run\.json: is damaged"):
        train_recipe(recipe)


def test_a_second_run_does_not_enter(cases, tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.core.run_folder.PATIENCE_S", 0.1)
    recipe = quick_recipe(cases, tmp_path / "run")
    with (
        RunFolder(tmp_path / "run").lock(),
        pytest.raises(RunInProgressError, match="another run"),
    ):
        train_recipe(recipe)
    assert not (tmp_path / "run" / RUN_FILE).exists()
