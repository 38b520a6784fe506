"""How much of the paper's schedule is done: all of it, or less, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ScaleName(StrEnum):
    """Names of the scales."""

    PAPER = "paper"
    """The paper's networks, pictures and 100 epochs."""
    SMALL = "small"
    """Its networks on pictures of half the side and half the depth, for 25 epochs."""
    MINIATURE = "miniature"
    """Narrow networks on tiny pictures, for two epochs: to see that everything runs."""


@dataclass(frozen=True)
class Scale:
    """What becomes smaller.

    Attributes:
        name: As the command line calls it.
        image_divisor: Of the side of pictures.
        depth_divisor: Of the most slices of a scan.
        width_divisor: Of the networks' widths.
        training: What replaces the recipe's training arguments.
    """

    name: ScaleName
    image_divisor: int = 1
    depth_divisor: int = 1
    width_divisor: int = 1
    training: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> str:
        """Say for the notes of a table what is not the paper's; empty where all is."""
        if self.name is ScaleName.PAPER:
            return ""
        widths = f", networks of 1/{self.width_divisor} of the width"
        return (
            f"Not the paper's schedule: scale {self.name}, pictures of 1/{self.image_divisor} of "
            f"the side and 1/{self.depth_divisor} of the depth"
            f"{widths if self.width_divisor > 1 else ''}, "
            f"{self.training['num_train_epochs']} epochs instead of 100, a peak learning rate of "
            f"{self.training['learning_rate']:g} instead of 1e-05."
        )


SCALES = {
    ScaleName.PAPER: Scale(ScaleName.PAPER),
    ScaleName.SMALL: Scale(
        ScaleName.SMALL,
        image_divisor=2,
        depth_divisor=2,
        training={"num_train_epochs": 25, "learning_rate": 1e-4},
    ),
    ScaleName.MINIATURE: Scale(
        ScaleName.MINIATURE,
        image_divisor=8,
        depth_divisor=4,
        width_divisor=16,
        training={
            "num_train_epochs": 2,
            "learning_rate": 1e-3,
            "bf16": False,
            "per_device_train_batch_size": 8,
            "per_device_eval_batch_size": 16,
            "dataloader_num_workers": 0,
            "report_to": "none",
        },
    ),
}
