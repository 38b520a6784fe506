"""`raddiag reproduce`: a table or figure of the paper, trained, evaluated, beside its numbers."""

from dataclasses import dataclass
from typing import Annotated

import typer

from raddiag_hf.cli.console import (
    ArgumentError,
    check_output_folder,
    quiet_libraries,
    say,
    step_progress,
)
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.settings import Setting, check_settings
from raddiag_hf.reproduce.reproduce_settings import ReproduceSettings

EXAMPLES = """
Killed at any moment, the same command resumes. Tables that share a training share it on the disk,
as long as they have one output. Several processes train together: start them with `accelerate
launch`; a step keeps its cases.

**Examples**

`raddiag reproduce table2 --plan`

`raddiag reproduce all --plan --device rtx4090 --scale small`

`raddiag reproduce table1 --data rp3d`

`raddiag reproduce table2 --data rp3d --text-encoder knowledge-encoder`

`accelerate launch --num_processes 8 -m raddiag_hf.cli.main reproduce table1 --data rp3d`

`raddiag reproduce table1 --data rp3d model.config.encoder_chunk_size=16`
"""
ALL = "all"


@dataclass(frozen=True)
class ReproduceTarget:
    """What to make, and of which cases.

    Attributes:
        name: table1, table2, figure3, figure4, figure5, supplementary-table1 to
            supplementary-table4, supplementary-figure1, or all.
        overrides: Changes to the recipes of all trainings.
        data: Folder or Hub id of RP3D-DiagDS, as `raddiag dataset build rp3d_diag` makes it.
        plan: Predict hours and memory, and train nothing; without data, for as many and as large
            cases as RP3D-DiagDS has.
        device: With --plan: what it is planned for, such as h100 or rtx4090; by default eight H100,
            and one card of 24 GB.
        num_devices: With --device: how many of it; one by default.
    """

    name: Annotated[str, Setting(positional=True, metavar="NAME")]
    overrides: Annotated[
        tuple[str, ...], Setting(positional=True, metavar="[SECTION.KEY=VALUE]...")
    ] = ()
    data: Annotated[str | None, Setting("-d", metavar="DATASET")] = None
    plan: bool = False
    device: Annotated[str | None, Setting(metavar="NAME")] = None
    num_devices: Annotated[int | None, Setting(min=1, metavar="N")] = None

    def __post_init__(self) -> None:
        check_settings(self)
        if self.device is not None and not self.plan:
            raise ArgumentError("--device belongs to --plan")
        if self.num_devices is not None and self.device is None:
            raise ArgumentError("--num-devices belongs to --device")


@with_options
def reproduce(target: ReproduceTarget, settings: ReproduceSettings) -> None:
    """Make a table or figure of the paper: train, evaluate, and put our numbers beside its own.

    Writes OUTPUT/NAME.md, .csv and .json, and figures; trained models and their evaluations stay
    in OUTPUT/trainings and OUTPUT/evaluations. Thresholds are chosen on validation cases, the
    highest F1 of each class; bands go by the cases of the whole data set.
    """
    from raddiag_hf.reproduce.grids import all_grids, find_grid

    grids = list(all_grids()) if target.name == ALL else [find_grid(target.name)]
    if target.plan:
        from raddiag_hf.cli.grid_plan_table import print_grid_plan

        machine = None if target.device is None else (target.device, target.num_devices or 1)
        print_grid_plan(grids, target.data, settings, machine, target.overrides)
        return
    if target.data is None:
        raise ArgumentError("--data is missing: name the cases; --plan needs none")
    check_output_folder(settings.output)

    from raddiag_hf.evaluation.predict_cases import join_processes
    from raddiag_hf.reproduce.reproduction import reproduce_grid

    quiet_libraries(with_datasets=True)
    state = join_processes()
    with step_progress(quiet=not state.is_main_process) as progress:
        made = [
            reproduce_grid(
                grid, target.data, settings, overrides=target.overrides, progress=progress
            )
            for grid in grids
        ]
    state.destroy_process_group()
    for one in made:
        if one is not None:
            say(*(str(path) for path in one.files))
            typer.echo(one.table.to_markdown())
