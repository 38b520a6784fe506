"""Trainings and evaluations of a grid: each done once, each resumed where it was interrupted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import fingerprint
from raddiag_hf.core.processes import started_processes, wait_for_processes
from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.evaluation.evaluation_folder import METRICS_FILE, REPORT_FILE
from raddiag_hf.evaluation.evaluation_run import evaluate_model
from raddiag_hf.evaluation.evaluation_settings import EvaluationSettings
from raddiag_hf.evaluation.predict_cases import join_processes
from raddiag_hf.evaluation.report.evaluation_report import write_evaluation_report
from raddiag_hf.labels.bands import CountedCases
from raddiag_hf.metrics.threshold_rule import ThresholdRule
from raddiag_hf.reproduce.grid_recipes import grid_recipe, run_name
from raddiag_hf.reproduce.grids import Grid, GridRow
from raddiag_hf.reproduce.reproduce_settings import ReproduceSettings
from raddiag_hf.reproduce.scales import SCALES
from raddiag_hf.training.train import MODEL_FOLDER, RECORD_FILE, train_recipe
from raddiag_hf.vocabulary import Split

TRAININGS, EVALUATIONS = "trainings", "evaluations"
SLICES_AT_ONCE = 64
"""Of an evaluation: it has cases of 30 scans, which training does not have."""


@dataclass(frozen=True)
class RowRuns:
    """What one row was made of.

    Attributes:
        row: Of the grid.
        models: Folder of the trained model, of each seed.
        evaluations: Folder of its evaluation on the test cases, of each seed.
    """

    row: GridRow
    models: tuple[Path, ...]
    evaluations: tuple[Path, ...]


def complete_runs(
    grid: Grid,
    dataset: str,
    settings: ReproduceSettings,
    overrides: Sequence[str] = (),
    progress: Progress = no_progress,
) -> list[RowRuns]:
    """Do what is left of the trainings and evaluations of a grid.

    What is finished is left as it is, whichever grid it was made for; what was interrupted, even
    killed, resumes. Of several processes that were started together, all call this.

    Args:
        grid: What to train and evaluate.
        dataset: Folder or Hub id of the cases, with the grid's label columns and test cases.
        settings: How.
        overrides: Changes to all recipes, ``section.key=value``.
        progress: Hears of the steps.

    Raises:
        InputError: If a model needs a text encoder and none is named, or weights are missing.
        RecipeError, CaseDataError, RunFolderError, StorageError, TrainingDivergedError: As
            `train_recipe` and `evaluate_model`.
    """
    if settings.text_encoder is None and any(one.reads_labels for one in grid.trainings):
        raise InputError(
            f"{grid.name} has models with knowledge enhancement: name the text encoder that reads "
            "label names (--text-encoder), such as `raddiag knowledge pretrain` makes"
        )
    recipes = {
        (training.name, seed): grid_recipe(
            training,
            SCALES[settings.scale],
            dataset=dataset,
            text_encoder=settings.text_encoder,
            backbone_weights=settings.backbone_weights,
            seed=seed,
            num_processes=started_processes(),
            overrides=overrides,
        )
        for seed in range(settings.seeds)  # every row has a number before any has two
        for training in grid.trainings
    }
    folders = {}
    for training in grid.trainings:
        for seed in range(settings.seeds):
            recipe = recipes[training.name, seed]
            folders[training.name, seed] = settings.output / TRAININGS / run_name(training, recipe)
    for key, recipe in recipes.items():
        progress(f"Training {folders[key].name}", 0, 0)
        train_recipe(replace(recipe, output=str(folders[key])), progress)
    found = []
    for row in grid.rows:
        of_seeds = [folders[row.training.name, seed] for seed in range(settings.seeds)]
        evaluations = [
            _evaluate(row, one, dataset, settings, grid.draws_evaluations, progress)
            for one in of_seeds
        ]
        models = tuple(one / MODEL_FOLDER for one in of_seeds)
        found.append(RowRuns(row, models, tuple(evaluations)))
    return found


def _evaluate(
    row: GridRow,
    training: Path,
    dataset: str,
    settings: ReproduceSettings,
    with_report: bool,
    progress: Progress,
) -> Path:
    """Evaluate a model as the paper does, unless that is done, and return the folder."""
    chosen = EvaluationSettings(
        label_column=row.training.label_column,
        fusion=row.fusion,
        calibrate_on=Split.VALIDATION,
        threshold_rule=ThresholdRule.F1,
        bands=CountedCases.WHOLE,
        bootstrap=settings.bootstrap,
        prediction=settings.prediction,
    )
    digest = fingerprint(
        {name: value for name, value in asdict(chosen).items() if name != "prediction"}
    )
    pooled = "" if row.fusion is None else f"-{row.fusion}"
    folder = settings.output / EVALUATIONS / f"{training.name}{pooled}-{digest[:10]}"
    model = training / MODEL_FOLDER
    last = folder / (REPORT_FILE if with_report else METRICS_FILE)
    wait_for_processes()  # all of them see the same files
    if last.is_file() and _is_newer(last, model / RECORD_FILE):
        return folder
    progress(f"Evaluating {folder.name}", 0, 0)
    state = join_processes()
    device = str(state.device) if state.num_processes > 1 else None
    loaded = load_model(str(model), device=device, encoder_chunk_size=SLICES_AT_ONCE)
    found = evaluate_model(loaded, dataset, Split.TEST, folder, chosen, progress)
    if found is not None and with_report:
        write_evaluation_report(found, folder)
    wait_for_processes()
    return folder


def _is_newer(result: Path, source: Path) -> bool:
    return result.stat().st_mtime_ns >= source.stat().st_mtime_ns
