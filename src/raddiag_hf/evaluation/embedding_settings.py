"""Settings of embedding a data set: which of its parts, and how fast."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from raddiag_hf.core.settings import Setting, check_settings


class Level(StrEnum):
    """What an embedding is of."""

    CASE = "case"
    SCAN = "scan"
    SLICE = "slice"


@dataclass(frozen=True)
class EmbeddingSettings:
    """What to embed.

    Attributes:
        level: What to write embeddings of: case, scan or slice; several may be named. By default
            all that the encoder has.
        num_workers: Processes that decode cases.

    Raises:
        InputError: If a value is of another type or out of range.
    """

    level: Annotated[tuple[Level, ...], Setting(metavar="LEVEL")] = ()
    num_workers: Annotated[int, Setting("--workers", min=0, metavar="N")] = 2

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "level", tuple(Level(one) for one in self.level))
