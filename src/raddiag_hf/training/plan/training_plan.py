"""The plan of a training: does its worst step fit, how long does it take, what feeds it."""

import math
from dataclasses import dataclass

import torch

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.network import grey_picture_slices, network_config
from raddiag_hf.training.plan.case_sizes import CaseSizes, heaviest_batch, mean_slices
from raddiag_hf.training.plan.memory import MemoryPlan, available_memory, choose_plan
from raddiag_hf.training.plan.step_speed import (
    Device,
    StepSpeed,
    estimate_speed,
    measure_loading,
    measure_speed,
    synthetic_cases,
)
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.trainer_arguments import build_augmentation

DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS = 8, 3
"""Those of `transformers.TrainingArguments`."""
FORWARD_SHARE = 1 / 3
"""Of a training step: what a case costs in evaluation."""


@dataclass(frozen=True)
class TrainingPlan:
    """What a training will take.

    Attributes:
        worst_slices: Slices of each scan of the largest micro-batch that may come.
        memory: Peak of a step with it, for every choice of precision and chunk size.
        chosen: The fastest choice that fits; None if none does.
        available: Bytes of the device.
        num_processes: Devices.
        num_steps: Optimiser steps.
        slices_per_step: On average, over all processes.
        speed: Of one device; None where nothing fits.
        seconds_per_step: Optimiser step on average; NaN where nothing fits.
        hours: All steps, and an evaluation of the validation cases after each epoch.
        loading_seconds: Of one core for one slice, measured on this machine.
        loader_cores: Cores that keep all devices busy.
    """

    worst_slices: tuple[int, ...]
    memory: tuple[MemoryPlan, ...]
    chosen: MemoryPlan | None
    available: int
    num_processes: int
    num_steps: int
    slices_per_step: float
    speed: StepSpeed | None
    seconds_per_step: float
    hours: float
    loading_seconds: float
    loader_cores: int


def plan_training(
    recipe: Recipe,
    sizes: CaseSizes,
    *,
    label_set: LabelSet | None = None,
    validation: CaseSizes | None = None,
    device: Device | None = None,
    memory: int | None = None,
    speed: StepSpeed | None = None,
    num_processes: int = 1,
    loading_seconds: float | None = None,
) -> TrainingPlan:
    """Plan a training from the sizes of its cases alone.

    Args:
        recipe: How it is trained.
        sizes: Of the training cases; `CaseSizes.of`, `CaseSizes.draw`, `CaseSizes.of_rp3d`.
        label_set: Of the data; None for as many labels as there are disorders in RP3D-DiagDS.
        validation: Sizes of the validation cases, evaluated after each epoch; None for none.
        device: What it is planned for; its speed is estimated. None: this machine, measured.
        memory: Bytes to fit in, if not those of the device.
        speed: Known from elsewhere, such as a run that was timed.
        num_processes: Devices that train together.
        loading_seconds: See `measure_loading`; measured on a synthetic case if None.

    Raises:
        RecipeError: If the recipe cannot be followed.
        ModelSourceError: If a checkpoint to start from cannot be read.

    Example:
        >>> from raddiag_hf.training.plan import CaseSizes, find_device, plan_training
        >>> from raddiag_hf.training.recipe import load_recipe
        >>> plan = plan_training(load_recipe("pretrain"), CaseSizes.of_rp3d(),
        ...                      device=find_device("H100"), num_processes=8)
        >>> sum(plan.worst_slices), plan.chosen.precision
        (256, 'bf16')
    """
    config, augmentation = network_config(recipe, label_set), build_augmentation(recipe)
    training = recipe.training
    batch_size = int(training.get("per_device_train_batch_size", DEFAULT_BATCH_SIZE))
    num_accumulated = int(training.get("gradient_accumulation_steps", 1))
    pictures = grey_picture_slices(recipe.model)
    worst = heaviest_batch(
        sizes,
        batch_size,
        config.max_slices,
        grey_picture_slices=pictures,
        augmentation=augmentation,
    )
    available = memory or (available_memory()[0] if device is None else device.memory)
    plans, chosen = choose_plan(
        config,
        worst,
        available,
        num_cases=batch_size,
        can_chunk=recipe.model.batch_norm != "synchronised",
    )
    cases_per_step = batch_size * num_accumulated * num_processes
    if len(sizes) < cases_per_step:
        raise RecipeError(f"{len(sizes)} training cases do not fill a step of {cases_per_step}")
    num_epochs = float(training.get("num_train_epochs", DEFAULT_EPOCHS))
    num_steps = int(training.get("max_steps", -1))
    steps_per_epoch = len(sizes) // cases_per_step
    if num_steps <= 0:
        num_steps = math.ceil(num_epochs * steps_per_epoch)
    mean = mean_slices(
        sizes, config.max_slices, grey_picture_slices=pictures, augmentation=augmentation
    )
    if speed is None and chosen is not None:
        if device is not None:
            speed = estimate_speed(config, chosen, device)
        else:
            here = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            speed = measure_speed(config, chosen, worst, here)
    if loading_seconds is None:
        loading_seconds = measure_loading(synthetic_cases(config, augmentation))
    seconds, hours, cores = math.nan, math.nan, 0
    if speed is not None:
        per_second = speed.slices_per_second
        seconds = mean * batch_size * num_accumulated / per_second + speed.optimizer_seconds
        evaluated = 0.0
        if validation is not None:
            evaluated = len(validation) * mean_slices(validation, config.max_slices)
        an_evaluation = evaluated * FORWARD_SHARE / per_second / num_processes
        hours = (num_steps * seconds + num_steps / steps_per_epoch * an_evaluation) / 3600
        cores = math.ceil(loading_seconds * per_second * num_processes)
    return TrainingPlan(
        worst_slices=tuple(worst),
        memory=tuple(plans),
        chosen=chosen,
        available=available,
        num_processes=num_processes,
        num_steps=num_steps,
        slices_per_step=mean * cases_per_step,
        speed=speed,
        seconds_per_step=seconds,
        hours=hours,
        loading_seconds=loading_seconds,
        loader_cores=cores,
    )
