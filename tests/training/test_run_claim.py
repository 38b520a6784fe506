"""An output folder belongs to one run at a time, of one recipe and its data."""

from dataclasses import replace

import pytest

from raddiag_hf.core.run_folder import RunInProgressError
from raddiag_hf.training.preparation import load_training_data, training_arguments
from raddiag_hf.training.recipe import ModelSection
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.run_claim import RUN_FILE, claim_output, sole_run
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.recipes import quick_recipe, write_training_cases


@pytest.fixture
def cases(tmp_path):
    return write_training_cases(tmp_path / "cases")


def claim(recipe, output, text_encoder=None):
    output.mkdir(exist_ok=True)
    claim_output(
        output, recipe, training_arguments(recipe), load_training_data(recipe.data), text_encoder
    )


def test_data_that_were_made_anew_are_other_data(cases, tmp_path):
    output = tmp_path / "run"
    recipe = quick_recipe(cases, output, validate=True)
    claim(recipe, output)
    claim(recipe, output)
    others = {Split.TRAIN: numbered(range(24)), Split.VALIDATION: numbered(range(30, 40))}
    write_store(tmp_path / "others", others)
    cases.rename(tmp_path / "moved")
    (tmp_path / "others").rename(cases)
    with pytest.raises(RecipeError, match=r"differs in data\.validation; name another"):
        claim(recipe, output)


def test_a_checkpoint_that_was_replaced_is_another(cases, tmp_path):
    output, checkpoint = tmp_path / "run", tmp_path / "start"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"one")
    section = ModelSection(checkpoint=str(checkpoint), batch_norm="frozen")
    recipe = replace(quick_recipe(cases, output), model=section)
    claim(recipe, output)
    claim(recipe, output)
    (checkpoint / "model.safetensors").write_bytes(b"two")
    with pytest.raises(RecipeError, match="differs in checkpoint"):
        claim(recipe, output)


def test_a_damaged_record_of_a_run_is_said(cases, tmp_path):
    output = tmp_path / "run"
    recipe = quick_recipe(cases, output)
    claim(recipe, output)
    record = output / RUN_FILE
    record.write_text(record.read_text()[:40])
    with pytest.raises(RecipeError, match=r"run\.json: is damaged"):
        claim(recipe, output)


def test_a_second_run_does_not_enter(tmp_path, monkeypatch):
    monkeypatch.setattr("raddiag_hf.core.run_folder.PATIENCE_S", 0.1)
    second = sole_run(tmp_path / "run")
    with sole_run(tmp_path / "run"), pytest.raises(RunInProgressError, match="another run"):
        second.__enter__()
    with sole_run(tmp_path / "run"):
        assert not (tmp_path / "run" / RUN_FILE).exists()
