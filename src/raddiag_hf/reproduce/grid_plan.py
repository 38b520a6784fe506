"""What grids will take on a machine: hours and memory of each training, the worst step included."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raddiag_hf.data.label_choice import split_label_choice
from raddiag_hf.data.opening import open_cases
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.reproduce.grid_recipes import grid_recipe
from raddiag_hf.reproduce.grids import Grid, Training
from raddiag_hf.reproduce.scales import Scale
from raddiag_hf.training.network import network_config
from raddiag_hf.training.plan.case_sizes import (
    RP3D_VALIDATION_CASES,
    CaseSizes,
    mean_slices,
)
from raddiag_hf.training.plan.step_speed import Device, measure_loading, synthetic_cases
from raddiag_hf.training.plan.training_plan import FORWARD_SHARE, TrainingPlan, plan_training
from raddiag_hf.training.recipe import Recipe
from raddiag_hf.training.trainer_arguments import build_augmentation
from raddiag_hf.vocabulary import Split

RP3D_LABELS: Mapping[str, int] = {"disorders": 5569, "icd10": 931}
RP3D_TEST_CASES = 7_772
"""Paper, section 4.3.1."""
PLACEHOLDER = "a text encoder"


@dataclass(frozen=True)
class PlannedCases:
    """Sizes of the cases that a label space has.

    Attributes:
        label_set: Labels, of any name.
        train: Cases to learn from.
        validation: Cases that are evaluated after each epoch, and once more to choose thresholds.
        test: Cases that are evaluated at the end.
    """

    label_set: LabelSet
    train: CaseSizes
    validation: CaseSizes
    test: CaseSizes

    @classmethod
    def published(cls, column: str) -> "PlannedCases":
        """Return sizes as RP3D-DiagDS has them, as far as the paper says.

        Of the 200 most frequent disorders, all cases count: how many have one of them is not
        published.
        """
        column, number = split_label_choice(column)
        names = (f"label {place}" for place in range(number or RP3D_LABELS[column]))
        return cls(
            LabelSet(tuple(names)),
            CaseSizes.of_rp3d(),
            CaseSizes.of_rp3d(RP3D_VALIDATION_CASES, seed=1),
            CaseSizes.of_rp3d(RP3D_TEST_CASES, seed=2),
        )

    @classmethod
    def of(cls, dataset: str, column: str) -> "PlannedCases":
        """Return the sizes of the cases of a data set.

        Raises:
            CaseDataError, DataSourceError: As `open_cases`.
        """
        wanted = [Split.TRAIN, Split.VALIDATION, Split.TEST]
        opened = open_cases(dataset, wanted, label_column=column, check_patients=False)
        return cls(opened.label_set, *(CaseSizes.of(opened[one].metadata) for one in wanted))


@dataclass(frozen=True)
class PlannedTraining:
    """One training on one machine.

    Attributes:
        training: Of a grid.
        plan: Its memory and time.
        evaluations: How often its model is evaluated.
        hours: Of all seeds, with evaluations; None where the worst step fits in no way.
    """

    training: Training
    plan: TrainingPlan
    evaluations: int
    hours: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return what there is to know as JSON values."""
        chosen = self.plan.chosen
        return {
            "training": self.training.name,
            "steps": self.plan.num_steps,
            "worst_scans": len(self.plan.worst_slices),
            "worst_slices": sum(self.plan.worst_slices),
            "memory": None if chosen is None else asdict(chosen) | {"total": chosen.total},
            "available": self.plan.available,
            "evaluations": self.evaluations,
            "hours": self.hours,
            "loader_cores": self.plan.loader_cores,
        }


def plan_grids(
    grids: Sequence[Grid],
    scale: Scale,
    device: Device,
    num_devices: int = 1,
    *,
    dataset: str | None = None,
    seeds: int = 1,
    overrides: Sequence[str] = (),
    loading: "Loading | None" = None,
) -> list[PlannedTraining]:
    """Plan the trainings of grids; one that several grids share is there once.

    Args:
        grids: What is to be made.
        scale: How much of the paper's schedule is done.
        device: What it is done on; speed is estimated, see `estimate_speed`.
        num_devices: Devices that train together.
        dataset: Folder or Hub id of the cases; None for as many, and as large, as RP3D-DiagDS has.
        seeds: Trainings of each model.
        overrides: Changes to all recipes, ``section.key=value``.
        loading: What loading takes; measured on this machine if None.

    Raises:
        RecipeError: If a recipe cannot be followed.
        InputError: If the devices' cases do not make whole steps.
        CaseDataError, DataSourceError: If the cases cannot be opened.
    """
    of_column: dict[str, PlannedCases] = {}
    loading = loading or Loading()
    found = []
    for training, evaluations in _counted(grids):
        recipe = grid_recipe(
            training,
            scale,
            text_encoder=PLACEHOLDER,
            num_processes=num_devices,
            overrides=overrides,
        )
        column = training.label_column
        if column not in of_column:
            of_column[column] = (
                PlannedCases.published(column)
                if dataset is None
                else PlannedCases.of(dataset, column)
            )
        cases = of_column[column]
        plan = plan_training(
            recipe,
            cases.train,
            label_set=cases.label_set,
            validation=cases.validation,
            device=device,
            num_processes=num_devices,
            loading_seconds=loading.of(recipe, cases.label_set),
        )
        hours = None
        if plan.speed is not None:
            max_slices = network_config(recipe, cases.label_set).max_slices
            slices = sum(
                len(one) * mean_slices(one, max_slices) for one in (cases.validation, cases.test)
            )
            seconds = slices * FORWARD_SHARE / plan.speed.slices_per_second / num_devices
            hours = seeds * (plan.hours + evaluations * seconds / 3600)
        found.append(PlannedTraining(training, plan, evaluations, hours))
    return found


class Loading:
    """How long one core takes for a slice, measured once for each kind of input.

    Args:
        seconds: Where it is known, and not to be measured.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.known: dict[tuple[Any, ...], float] = {}

    def of(self, recipe: Recipe, label_set: LabelSet) -> float:
        """Return the seconds of a recipe's input."""
        if self.seconds is not None:
            return self.seconds
        config = network_config(recipe, label_set)
        key = (config.image_size, config.max_slices, repr(recipe.augmentation))
        if key not in self.known:
            cases = synthetic_cases(config, build_augmentation(recipe))
            self.known[key] = measure_loading(cases)
        return self.known[key]


def _counted(grids: Iterable[Grid]) -> list[tuple[Training, int]]:
    """Return every training once, and how often its model is evaluated."""
    pooled: dict[str, tuple[Training, set[str]]] = {}
    for grid in grids:
        for row in grid.rows:
            _, ways = pooled.setdefault(row.training.name, (row.training, set()))
            ways.add(str(row.fusion))
    return [(training, len(ways)) for training, ways in pooled.values()]
