"""`raddiag train --plan`: what a training step will need, as a table, and which setting to take."""

import re

from rich.console import Console
from rich.table import Table

from raddiag_hf.cli.console import ArgumentError
from raddiag_hf.training.memory_plan import (
    HEADROOM,
    PRECISIONS,
    MemoryPlan,
    available_memory,
    choose_plan,
    heaviest_batch,
)
from raddiag_hf.training.network import grey_picture_slices, network_config
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.train import open_splits
from raddiag_hf.training.trainer_arguments import build_augmentation
from raddiag_hf.vocabulary import Split

UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}
PAPER_CASE = (32,) * 6
"""Slices of each scan of the case that is planned for where the recipe names no data."""


def print_plan(recipe: Recipe, memory: str | None) -> None:
    """Print the predicted peak memory of every setting, and the setting to take.

    Raises:
        ArgumentError: If ``memory`` is no size.
        RecipeError: If the recipe cannot be followed.
    """
    if memory is None:
        bytes_there, where = available_memory()
    else:
        bytes_there, where = parse_size(memory), "--memory"
    if recipe.data.dataset is None:
        config, slices, num_cases = network_config(recipe, None), list(PAPER_CASE), 1
        what = "one case of 6 scans x 32 slices, not mixed (the recipe names no data)"
    else:
        data = open_splits(recipe.data)
        config = network_config(recipe, data.label_set)
        num_cases = int(recipe.training.get("per_device_train_batch_size", 8))
        augmentation = build_augmentation(recipe)
        slices = heaviest_batch(
            data[Split.TRAIN].metadata,
            num_cases,
            config.max_slices,
            grey_picture_slices=grey_picture_slices(recipe.model),
            augmentation=augmentation,
        )
        mixed = augmentation is not None and augmentation.mixing_probability > 0
        what = (
            f"the {num_cases} cases with most slices{', mixed,' if mixed else ':'} "
            f"{len(slices)} scans, {sum(slices)} slices"
        )
    can_chunk = bool(config.freeze_batch_norm)
    plans, chosen = choose_plan(
        config, slices, bytes_there, num_cases=num_cases, can_chunk=can_chunk
    )
    console = Console()
    console.print(_table(plans, chosen, what))
    gigabytes = f"{bytes_there / 1e9:.3g} GB ({where})"
    if not can_chunk:
        console.print(
            "Chunks need model.batch_norm=frozen: batch statistics would depend on the chunk."
        )
    if chosen is None:
        console.print(f"Nothing fits in {gigabytes} with {HEADROOM - 1:.0%} to spare.")
        return
    overrides = [f"training.bf16={str(chosen.precision == 'bf16').lower()}"]
    overrides.append(f"model.config.encoder_chunk_size={chosen.chunk_size or 'null'}")
    console.print(f"For {gigabytes} with {HEADROOM - 1:.0%} to spare: {' '.join(overrides)}")


def parse_size(text: str) -> int:
    """Return the bytes of a size such as ``12GB`` or ``11.5 GiB``.

    Raises:
        ArgumentError: If it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text.strip(), re.IGNORECASE)
    if found is None or found[2].upper() not in UNITS or not float(found[1]):
        raise ArgumentError(f"--memory {text}: expected a size such as 12GB or 11.5GiB")
    return int(float(found[1]) * UNITS[found[2].upper()])


def _table(plans: list[MemoryPlan], chosen: MemoryPlan | None, what: str) -> Table:
    table = Table(title=f"Peak memory of a training step in GB: {what}")
    parts = ("weights", "gradients", "optimizer", "inputs", "encoder", "tokens", "total")
    for name in ("precision", "chunk", *parts):
        table.add_column(name, justify="left" if name == "precision" else "right")
    for plan in sorted(plans, key=lambda plan: PRECISIONS.index(plan.precision)):
        table.add_row(
            plan.precision,
            str(plan.chunk_size or "all"),
            *(f"{getattr(plan, name) / 1e9:.2f}" for name in parts),
            style="bold" if plan is chosen else None,
        )
    return table
