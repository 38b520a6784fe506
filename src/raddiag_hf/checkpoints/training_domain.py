"""Training domain: what a model was trained on, saved beside it, so that it knows its limits."""

from dataclasses import dataclass
from pathlib import Path

from raddiag_hf.checkpoints.training_kinds import TrainingKinds
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.model_source import ModelSourceError

KINDS_FILE = "training_kinds.json"


@dataclass(frozen=True)
class TrainingDomain:
    """What a model was trained on, as far as it knows.

    A model that is fine-tuned gets the domain of the data that it was fine-tuned on, alone: its
    answers and thresholds were learnt there, whatever the weights saw before.

    Attributes:
        kinds: Of its training scans.
    """

    kinds: TrainingKinds

    def save(self, folder: Path) -> None:
        """Write ``training_kinds.json`` into a model's folder."""
        with atomic_write(folder / KINDS_FILE) as temporary:
            temporary.write_text(self.kinds.to_json(), "utf-8")


def read_training_domain(folder: Path, model_id: str) -> TrainingDomain | None:
    """Read what `TrainingDomain.save` wrote beside a model; None where there is nothing.

    Args:
        folder: Where the model is saved.
        model_id: What to call it in messages.

    Raises:
        ModelSourceError: If a file is there and cannot be read.
    """
    path = folder / KINDS_FILE
    if not path.is_file():
        return None
    try:
        return TrainingDomain(TrainingKinds.from_json(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise ModelSourceError(f"{model_id}: {KINDS_FILE}: {one_line(error)}") from None
