"""Recipes of the grids: the paper's, smaller by name, and the folder that each has."""

import pytest

from raddiag_hf.core.errors import InputError
from raddiag_hf.reproduce.grid_recipes import grid_recipe, run_name
from raddiag_hf.reproduce.grids import ablation, all_grids, full
from raddiag_hf.reproduce.scales import SCALES, ScaleName
from raddiag_hf.training.train import check_network

PAPER, MINIATURE = SCALES[ScaleName.PAPER], SCALES[ScaleName.MINIATURE]


def test_the_papers_training_is_that_of_the_recipe():
    recipe = grid_recipe(full("disorders", "knowledge"), PAPER, text_encoder="encoder")
    assert recipe.training["num_train_epochs"] == 100
    assert recipe.training["learning_rate"] == 1e-5
    assert recipe.model.config == {"classifier_type": "knowledge"}
    assert recipe.model.text_encoder == "encoder"
    assert recipe.augmentation["scan_augmentation"]["noise_probability"] == 0.15
    assert grid_recipe(full("icd10", "fusion"), PAPER, text_encoder="e").model.text_encoder is None


def test_ablations_are_without_augmentation_but_for_one_table():
    plain = grid_recipe(ablation(), PAPER).augmentation
    assert plain["scan_augmentation"] is None
    assert {plain[f"{name}_probability"] for name in ("key_slice", "mixing", "scan_drop")} == {0}
    assert plain["max_scans"] == 4
    changed = grid_recipe(ablation(augmented=True), PAPER).augmentation
    assert changed["scan_augmentation"]["elastic_probability"] == 0.15
    assert changed["mixing_probability"] == 0


def test_every_network_can_be_built_at_every_scale():
    trainings = {one.name: one for grid in all_grids() for one in grid.trainings}
    for training in trainings.values():
        for scale in SCALES.values():
            check_network(grid_recipe(training, scale), None)


def test_a_step_keeps_its_cases_on_any_number_of_devices():
    for num_processes, accumulated in ((1, 8), (4, 2), (8, 1)):
        recipe = grid_recipe(ablation(), PAPER, num_processes=num_processes)
        assert recipe.training["gradient_accumulation_steps"] == accumulated
    with pytest.raises(InputError, match="3 processes take 3 cases at once"):
        grid_recipe(ablation(), PAPER, num_processes=3)
    chosen = ["training.gradient_accumulation_steps=5"]
    recipe = grid_recipe(ablation(), PAPER, num_processes=3, overrides=chosen)
    assert recipe.training["gradient_accumulation_steps"] == 5


def test_a_folder_is_named_by_what_is_trained_not_by_where():
    def name(depth=16, scale=PAPER, **options):
        training = ablation(depth=depth)
        return run_name(training, grid_recipe(training, scale, **options))

    assert name().startswith("ablation-resnet18-resnet34-depth16-seed0-")
    assert name(dataset="here") == name(dataset="there", num_processes=8)
    assert name(overrides=["training.dataloader_num_workers=2"]) == name()
    others = [
        name(seed=1),
        name(scale=MINIATURE),
        name(depth=24),
        name(overrides=["training.learning_rate=1e-4"]),
    ]
    assert len({name(), *others}) == 1 + len(others)


def test_a_smaller_scale_says_what_is_not_the_papers():
    assert PAPER.describe() == ""
    assert MINIATURE.describe().startswith("Not the paper's schedule: scale miniature, ")


def test_resnets_start_from_the_file_of_their_depth(tmp_path):
    for name in ("resnet18-f37072fd.pth", "resnet34-b627a593.pth"):
        (tmp_path / name).touch()

    def weights(preset):
        recipe = grid_recipe(ablation(preset), PAPER, backbone_weights=tmp_path)
        return recipe.model.backbone_weights

    assert weights("resnet34-resnet18") == str(tmp_path / "resnet18-f37072fd.pth")
    assert weights("resnet34-vit6") == str(tmp_path / "resnet34-b627a593.pth")
    assert weights("vit6-mlp2") is None
    with pytest.raises(InputError, match=r"one file resnet50\* for resnet50-vit6, found none"):
        weights("resnet50-vit6")
    (tmp_path / "resnet18.safetensors").touch()
    with pytest.raises(InputError, match=r"found resnet18-f37072fd.pth, resnet18.safetensors"):
        weights("resnet18-resnet18")
