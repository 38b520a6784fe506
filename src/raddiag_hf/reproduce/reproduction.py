"""Reproduce a table or figure of the paper: run what is left of its grid, write what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raddiag_hf.core.processes import is_first_process
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.reproduce.grid_figures import write_figures
from raddiag_hf.reproduce.grid_runs import complete_runs
from raddiag_hf.reproduce.grid_table import GridTable, tabulate
from raddiag_hf.reproduce.grids import Grid
from raddiag_hf.reproduce.reproduce_settings import ReproduceSettings
from raddiag_hf.reproduce.scales import SCALES

FROM_RANDOM = (
    "All weights started at random. The authors' code starts ResNets from ImageNet's, which "
    "--backbone-weights takes; the paper does not say it."
)


@dataclass(frozen=True)
class Reproduction:
    """What was made.

    Attributes:
        table: Numbers beside the paper's.
        files: Tables and figures.
    """

    table: GridTable
    files: tuple[Path, ...]


def reproduce_grid(
    grid: Grid,
    dataset: str,
    settings: ReproduceSettings | None = None,
    *,
    overrides: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Reproduction | None:
    """Make a table or figure of the paper; killed at any moment, the same call resumes it.

    ``settings.output`` receives ``<name>.md``, ``.csv`` and ``.json`` and the figures of the grid,
    beside the folders of trainings and evaluations, which all grids there share.

    Args:
        grid: Which, of `find_grid`.
        dataset: Folder or Hub id of the cases, such as ``raddiag dataset build rp3d_diag`` makes.
        settings: How.
        overrides: Changes to all recipes, ``section.key=value``.
        progress: Hears of the steps.

    Returns:
        What was made; None in all processes but the first.

    Raises:
        InputError, RecipeError, CaseDataError, RunFolderError, StorageError: As `complete_runs`.
    """
    settings = settings or ReproduceSettings()
    runs = complete_runs(grid, dataset, settings, overrides, progress)
    if not is_first_process():
        return None
    progress(f"Writing {grid.name}", 0, 0)
    notes = [note for note in (SCALES[settings.scale].describe(),) if note]
    if settings.backbone_weights is None:
        notes.append(FROM_RANDOM)
    if overrides:
        notes.append(f"Changes to the recipes: {' '.join(overrides)}.")
    if settings.seeds > 1 and "figure" in grid.name:
        notes.append("Figures show the first seed.")
    table = tabulate(grid, runs, settings.bootstrap, notes)
    figures = write_figures(grid, runs, dataset, settings.output)
    return Reproduction(table, (*table.write(settings.output), *figures))
