"""`raddiag train --plan`: what a training will need, as a table, and which setting to take."""

import math
import re

from rich.table import Table

from raddiag_hf.cli.console import ArgumentError, SafeConsole
from raddiag_hf.data.case_splits import CaseSplits
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.training.network import network_config
from raddiag_hf.training.plan.case_sizes import RP3D_VALIDATION_CASES, CaseSizes
from raddiag_hf.training.plan.memory import HEADROOM, PRECISIONS, available_memory
from raddiag_hf.training.plan.step_speed import find_device, measure_loading
from raddiag_hf.training.plan.training_plan import TrainingPlan, plan_training
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.train import open_splits
from raddiag_hf.training.trainer_arguments import build_augmentation
from raddiag_hf.vocabulary import Split

UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}


def print_plan(
    recipe: Recipe, memory: str | None, device_name: str | None, num_processes: int
) -> None:
    """Print memory, time and loader cores of a training, and the settings to take.

    Without data, it is planned for as many and as large cases as RP3D-DiagDS has.

    Raises:
        ArgumentError: If ``memory`` is no size.
        InputError: If nothing is known of the device.
        RecipeError: If the recipe cannot be followed.
    """
    device = None if device_name is None else find_device(device_name)
    if memory is not None:
        available, where = parse_size(memory), "--memory"
    elif device is not None:
        available, where = device.memory, device.name
    else:
        available, where = available_memory()
    loading_seconds, label_set = None, None
    if recipe.data.dataset is None:
        sizes = CaseSizes.of_rp3d()
        validation: CaseSizes | None = CaseSizes.of_rp3d(RP3D_VALIDATION_CASES, seed=1)
        what = f"{len(sizes):,} cases as in RP3D-DiagDS (the recipe names no data)"
    else:
        data = open_splits(recipe.data)
        label_set, sizes = data.label_set, CaseSizes.of(data[Split.TRAIN].metadata)
        validation = (
            CaseSizes.of(data[Split.VALIDATION].metadata) if Split.VALIDATION in data else None
        )
        loading_seconds = _measure_loading(recipe, data)
        what = f"{len(sizes):,} cases of {data.location}"
    plan = plan_training(
        recipe,
        sizes,
        label_set=label_set,
        validation=validation,
        device=device,
        memory=available,
        num_processes=num_processes,
        loading_seconds=loading_seconds,
    )
    console = SafeConsole()
    console.print(_table(plan, what))
    room = f"{available / 1e9:.3g} GB ({where}) with {HEADROOM - 1:.0%} to spare"
    if plan.chosen is None or plan.speed is None:
        console.print(f"Nothing fits in {room}.")
        return
    overrides = [f"training.bf16={str(plan.chosen.precision == 'bf16').lower()}"]
    overrides.append(f"model.config.encoder_chunk_size={plan.chosen.chunk_size or 'null'}")
    console.print(f"For {room}: {' '.join(overrides)}")
    if plan.chosen.chunk_size is not None and recipe.model.batch_norm == "local":
        console.print("Batch norms then take their statistics of one chunk.")
    devices = "1 device" if num_processes == 1 else f"{num_processes} devices"
    console.print(
        f"Time: {plan.seconds_per_step:.3g} s a step, {plan.num_steps:,} steps of "
        f"{plan.slices_per_step:,.0f} slices on average, {describe_hours(plan.hours)} on "
        f"{devices}; {plan.speed.slices_per_second:,.3g} slices a second each, {plan.speed.source}."
    )
    workers = math.ceil(plan.loader_cores / num_processes)
    console.print(
        f"Loading: {1 / plan.loading_seconds:,.3g} slices a second on one core here, so "
        f"{plan.loader_cores} cores keep up: training.dataloader_num_workers={workers}"
    )


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``12GB`` or ``11.5 GiB``.

    Raises:
        ArgumentError: If it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip(), re.IGNORECASE)
    if found is None or found[2].upper() not in UNITS or not float(found[1]):
        raise ArgumentError(f"--memory {text}: expected a size such as 12GB or 11.5GiB")
    return int(float(found[1]) * UNITS[found[2].upper()])


def _measure_loading(recipe: Recipe, data: CaseSplits) -> float:
    config = network_config(recipe, data.label_set)
    processor = RadDiagImageProcessor(image_size=config.image_size, max_slices=config.max_slices)
    return measure_loading(data[Split.TRAIN].pack(processor, build_augmentation(recipe)))


def describe_hours(hours: float) -> str:
    """Return hours in the unit that suits them."""
    if hours >= 48:
        return f"{hours / 24:.3g} days"
    return f"{hours:.3g} hours" if hours >= 1 else f"{hours * 60:.2g} minutes"


def _table(plan: TrainingPlan, what: str) -> Table:
    table = Table(
        title=f"Peak memory of a training step in GB: {what}; the largest step has "
        f"{len(plan.worst_slices)} scans, {sum(plan.worst_slices)} slices"
    )
    parts = ("weights", "gradients", "optimizer", "inputs", "encoder", "tokens", "total")
    for name in ("precision", "chunk", *parts):
        table.add_column(name, justify="left" if name == "precision" else "right")
    for one in sorted(plan.memory, key=lambda one: PRECISIONS.index(one.precision)):
        table.add_row(
            one.precision,
            str(one.chunk_size or "all"),
            *(f"{getattr(one, name) / 1e9:.2f}" for name in parts),
            style="bold" if one is plan.chosen else None,
        )
    return table
