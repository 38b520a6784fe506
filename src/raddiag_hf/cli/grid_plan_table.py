"""`raddiag reproduce --plan`: hours and memory of every training of a grid, on each machine."""

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from raddiag_hf.cli.plan_table import describe_hours
from raddiag_hf.reproduce.grid_plan import Loading, PlannedTraining, plan_grids
from raddiag_hf.reproduce.grids import Grid
from raddiag_hf.reproduce.reproduce_settings import ReproduceSettings
from raddiag_hf.reproduce.scales import SCALES
from raddiag_hf.training.plan.step_speed import Device, find_device

MACHINES = (("h100", 8), ("rtx4090", 1))
"""What is planned for where no device is named."""


def print_grid_plan(
    grids: Sequence[Grid],
    dataset: str | None,
    settings: ReproduceSettings,
    machine: tuple[str, int] | None,
    overrides: Sequence[str],
) -> None:
    """Print what the trainings of grids take.

    Args:
        grids: What is to be made.
        dataset: Folder or Hub id of the cases; None for those of RP3D-DiagDS as published.
        settings: How.
        machine: Name and number of the devices; None for each of `MACHINES`.
        overrides: Changes to all recipes.

    Raises:
        InputError: If nothing is known of the device.
        RecipeError, CaseDataError, DataSourceError: As `plan_grids`.
    """
    loading = Loading()
    for name, number in MACHINES if machine is None else (machine,):
        device = find_device(name)
        planned = plan_grids(
            grids,
            SCALES[settings.scale],
            device,
            number,
            dataset=dataset,
            seeds=settings.seeds,
            overrides=overrides,
            loading=loading,
        )
        _print_machine(planned, device, number)
    if dataset is None:
        typer.echo("Planned for as many and as large cases as RP3D-DiagDS has.")
    if note := SCALES[settings.scale].describe():
        typer.echo(note)


def _print_machine(planned: Sequence[PlannedTraining], device: Device, number: int) -> None:
    table = Table(title=f"{number} x {device.name}, {device.memory / 1e9:.0f} GB each")
    headings = ("training", "steps", "scans", "slices", "GB", "chunk", "hours")
    for heading in headings:
        table.add_column(
            heading,
            justify="left" if heading == headings[0] else "right",
            overflow="fold",
        )
    for one in planned:
        chosen, worst = one.plan.chosen, one.plan.worst_slices
        table.add_row(
            one.training.name,
            f"{one.plan.num_steps:,}",
            str(len(worst)),
            str(sum(worst)),
            "no fit" if chosen is None else f"{chosen.total / 1e9:.1f}",
            "" if chosen is None else str(chosen.chunk_size or "all"),
            "" if one.hours is None else f"{one.hours:.1f}",
        )
    console = Console()
    console.print(table)
    hours = sum(one.hours or 0.0 for one in planned)
    fits = all(one.hours is not None for one in planned)
    cores = max(one.plan.loader_cores for one in planned)
    chunks = [one.plan.chosen.chunk_size for one in planned if one.plan.chosen is not None]
    remarks = [
        f"{'All' if fits else 'What fits'}: {describe_hours(hours)}, evaluations included. Up to "
        f"{cores} cores keep the devices busy. Scans, slices and GB are those of the largest step."
    ]
    if smallest := min((size for size in chunks if size is not None), default=None):
        remarks.append(
            f"To fit everywhere: model.config.encoder_chunk_size={smallest}; batch norms then take "
            "their statistics of one chunk."
        )
    sources = [one.plan.speed.source for one in planned if one.plan.speed is not None]
    remarks += [f"Speed is {source}." for source in sources[:1]]
    for remark in remarks:
        console.print(remark)
