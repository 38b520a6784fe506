"""A plan tells memory, time and loader cores, of counts alone and for any preset."""

import math

import pytest
import torch

from raddiag_hf.core.errors import InputError
from raddiag_hf.data.batches.case_augmentation import CaseAugmentation
from raddiag_hf.model.presets import PRESETS
from raddiag_hf.training.plan.case_sizes import CaseSizes
from raddiag_hf.training.plan.memory import HEADROOM, plan_memory
from raddiag_hf.training.plan.step_speed import (
    StepSpeed,
    find_device,
    measure_loading,
    measure_speed,
    synthetic_cases,
)
from raddiag_hf.training.plan.training_plan import plan_training
from raddiag_hf.training.recipe import load_recipe
from raddiag_hf.training.recipe_file import RecipeError
from tests.fixtures.models import tiny_config

SIZES = CaseSizes.of_rp3d(2000)
SMALL = (
    "model.config={resnet_depth: 10, resnet_width: 4, hidden_size: 32, image_size: 64,"
    " intermediate_size: 32}"
)


def test_the_largest_mixture_of_the_paper_fits_in_24_gigabytes():
    recipe = load_recipe("pretrain")
    plan = plan_training(recipe, SIZES, device=find_device("RTX 4090"), loading_seconds=1e-3)
    assert sum(plan.worst_slices) == 256
    assert (plan.chosen.precision, plan.chosen.chunk_size) == ("bf16", None)
    assert plan.chosen.total * HEADROOM < 24e9
    assert "estimated for one NVIDIA RTX 4090" in plan.speed.source
    assert plan.loader_cores == math.ceil(plan.speed.slices_per_second * 1e-3)


def test_hours_follow_from_counts_and_speed():
    recipe = load_recipe("pretrain", [SMALL, "augmentation=null", "training.num_train_epochs=2"])
    sizes = CaseSizes.draw(800, {1: 1.0}, {20: 1.0})
    validation = CaseSizes.draw(90, {1: 1.0}, {10: 1.0})
    speed = StepSpeed(100, 0.4, "given")
    plan = plan_training(
        recipe, sizes, validation=validation, speed=speed, memory=10**11, num_processes=4,
        loading_seconds=0.01,
    )  # fmt: skip
    assert (plan.num_steps, plan.slices_per_step, plan.loader_cores) == (50, 640, 4)
    assert plan.seconds_per_step == pytest.approx(8 * 20 / 100 + 0.4)
    evaluations = 2 * 900 / 3 / 100 / 4
    assert plan.hours * 3600 == pytest.approx(50 * 2.0 + evaluations)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_can_be_planned_at_any_depth(preset):
    overrides = [f"model.preset={preset}", "model.config={max_slices: 16, image_size: 64}"]
    recipe = load_recipe("pretrain", overrides)
    plan = plan_training(recipe, SIZES, device=find_device("h100"), loading_seconds=1e-3)
    assert plan.chosen is not None
    assert max(plan.worst_slices) == 16
    assert 0 < plan.hours < 1000


def test_what_does_not_fit_has_no_time():
    plan = plan_training(load_recipe("pretrain", [SMALL]), SIZES, memory=1000, loading_seconds=1)
    assert (plan.chosen, plan.speed, plan.loader_cores) == (None, None, 0)
    assert math.isnan(plan.hours)


@pytest.mark.parametrize("chunk_size", [None, 4])
def test_steps_and_loading_are_measured_here(chunk_size):
    config = tiny_config()
    plan = plan_memory(config, [8, 8], chunk_size=chunk_size)
    speed = measure_speed(config, plan, [8, 8], torch.device("cpu"))
    assert speed.slices_per_second > 1
    assert speed.source == "measured on this machine's CPU with 8 slices"
    cases = synthetic_cases(config, CaseAugmentation(mixing_probability=0), num_cases=2)
    assert 0 < measure_loading(cases) < 1


def test_what_cannot_be_planned_is_said():
    with pytest.raises(InputError, match="nothing is known of 'abacus'; expected one of h200"):
        find_device("abacus")
    with pytest.raises(RecipeError, match="4 training cases do not fill a step of 8"):
        plan_training(load_recipe("pretrain"), CaseSizes.of_rp3d(4), device=find_device("l4"))
