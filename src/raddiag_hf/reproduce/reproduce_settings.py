"""Settings of a reproduction: on which cases, how much of the schedule, how often."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from raddiag_hf.core.settings import Setting, check_settings
from raddiag_hf.evaluation.evaluation_settings import PredictionSettings
from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.reproduce.scales import ScaleName


@dataclass(frozen=True)
class ReproduceSettings:
    """How tables and figures of the paper are made.

    Attributes:
        output: Folder of tables, figures, trained models and evaluations; tables share them.
        scale: How much of the paper's schedule is done; the tables say it.
        seeds: Trainings of each model, which differ in their seeds alone.
        text_encoder: Folder or Hub id of the text encoder that reads label names for models with
            knowledge enhancement, such as `raddiag knowledge pretrain` makes.
        backbone_weights: Folder of weights with torchvision's names that ResNets start from, such
            as those of ImageNet, from which the authors start: one file resnet18*, resnet34* and
            resnet50*, as far as they are needed. By default all weights are random.
        bootstrap: How to find intervals.
        prediction: How much is predicted at once.

    Raises:
        InputError: If a value is of another type or out of range.
    """

    output: Annotated[Path, Setting("-o", metavar="DIR")] = Path("reproduction")
    scale: ScaleName = ScaleName.PAPER
    seeds: Annotated[int, Setting(min=1, metavar="N")] = 1
    text_encoder: Annotated[str | None, Setting(metavar="ID")] = None
    backbone_weights: Annotated[Path | None, Setting(metavar="DIR")] = None
    bootstrap: BootstrapSettings = field(default_factory=BootstrapSettings)
    prediction: PredictionSettings = field(default_factory=PredictionSettings)

    def __post_init__(self) -> None:
        check_settings(self)
