"""Kinds of scans that a model was trained on: how many of each modality and region."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raddiag_hf.core.file_format import check_format
from raddiag_hf.vocabulary import Anatomy, Modality

FILE_FORMAT = 1
"""Version of ``training_kinds.json``."""
MOST_NAMED = 5


@dataclass(frozen=True)
class TrainingKind:
    """One modality of one region.

    Attributes:
        modality: What made the scans.
        anatomy: The region that they show; `Anatomy.UNKNOWN` where nobody said.
        scans: Training scans of this kind, at least 1.
        cases: Training cases that have one at least.
    """

    modality: Modality
    anatomy: Anatomy
    scans: int
    cases: int

    def __str__(self) -> str:
        return f"{describe_kind(self.modality, self.anatomy)} ({self.scans:,})"


@dataclass(frozen=True)
class TrainingKinds:
    """All kinds of scans of the training split: counts alone, nobody is named.

    Attributes:
        kinds: Each modality and region once.

    Raises:
        ValueError: If there is none, one is there twice, or a count is below 1.
    """

    kinds: tuple[TrainingKind, ...]

    def __post_init__(self) -> None:
        counts = Counter((kind.modality, kind.anatomy) for kind in self.kinds)
        if not counts or max(counts.values()) > 1:
            raise ValueError("expected kinds of scans, each once")
        for kind in self.kinds:
            if not 1 <= kind.cases <= kind.scans:
                raise ValueError(f"{kind}: {kind.scans} scans in {kind.cases} cases")

    def num_scans(self, modality: Modality, anatomy: Anatomy | None = None) -> int:
        """Return how many training scans were of a modality, of one region or of all."""
        return sum(
            kind.scans
            for kind in self.kinds
            if kind.modality == modality and anatomy in (None, kind.anatomy)
        )

    def was_seen(self, modality: Modality, anatomy: Anatomy) -> bool | None:
        """Say whether there were such scans in training; None where nothing tells.

        A region that is not among those named counts as never seen, unless most training scans of
        the modality name none: then it may be among these. Of a scan of unknown region nothing is
        known but its modality.
        """
        of_modality = self.num_scans(modality)
        if self.num_scans(modality, anatomy) and anatomy is not Anatomy.UNKNOWN:
            return True
        if not of_modality:
            return False
        unnamed = self.num_scans(modality, Anatomy.UNKNOWN)
        if anatomy is Anatomy.UNKNOWN or 2 * unnamed > of_modality:
            return None
        return False

    def __str__(self) -> str:
        ordered = sorted(self.kinds, key=lambda kind: -kind.scans)
        more = len(ordered) - MOST_NAMED
        rest = [f"{more} more kinds"] if more > 0 else []
        return ", ".join([*map(str, ordered[:MOST_NAMED]), *rest])

    def to_list(self) -> list[dict[str, Any]]:
        """Return the kinds as plain values, the most frequent first."""
        return [
            {**vars(kind), "modality": kind.modality.value, "anatomy": kind.anatomy.value}
            for kind in sorted(self.kinds, key=lambda kind: -kind.scans)
        ]

    @classmethod
    def from_list(cls, kinds: Sequence[dict[str, Any]]) -> "TrainingKinds":
        """Return the kinds of `to_list`.

        Raises:
            ValueError, KeyError, TypeError: If they are none.
        """
        return cls(
            tuple(
                TrainingKind(
                    Modality(kind["modality"]),
                    Anatomy(kind["anatomy"]),
                    int(kind["scans"]),
                    int(kind["cases"]),
                )
                for kind in kinds
            )
        )

    def to_json(self) -> str:
        """Return the kinds as JSON text."""
        return json.dumps({"format": FILE_FORMAT, "kinds": self.to_list()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TrainingKinds":
        """Return the kinds that `to_json` wrote.

        Raises:
            ValueError: If the text is not such JSON, or of a newer format.
        """
        try:
            content = json.loads(text)
            check_format(content.get("format"), FILE_FORMAT)
            return cls.from_list(content["kinds"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"holds no kinds of scans: {error!r}") from error


def describe_kind(modality: Modality, anatomy: Anatomy) -> str:
    """Return a kind in words: ``CT, Chest``."""
    return modality.value if anatomy is Anatomy.UNKNOWN else f"{modality.value}, {anatomy.value}"
