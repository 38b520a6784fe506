"""Settings of the demo."""

from dataclasses import dataclass
from typing import Annotated

from raddiag_hf.core.settings import Setting, check_settings


@dataclass(frozen=True)
class DemoSettings:
    """How much the demo draws and learns.

    Attributes:
        train_cases: Phantoms to train on.
        validation_cases: Phantoms to choose the checkpoint and thresholds on.
        test_cases: Phantoms to evaluate on.
        num_epochs: Passes over the training cases.
        seed: Of phantoms and training.

    Raises:
        InputError: If a value is out of its range.
    """

    train_cases: Annotated[int, Setting(min=50)] = 800
    validation_cases: Annotated[int, Setting(min=20, python_only=True)] = 200
    test_cases: Annotated[int, Setting(min=20, python_only=True)] = 300
    num_epochs: Annotated[float, Setting("--epochs", min=0.1)] = 9.0
    seed: Annotated[int, Setting(min=0)] = 0

    def __post_init__(self) -> None:
        check_settings(self)
