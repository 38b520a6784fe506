"""Training domain: what a model was trained on, saved beside it, so that it knows its limits."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from raddiag_hf.checkpoints.training_kinds import TrainingKinds
from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.file_format import FileFormatError, check_format
from raddiag_hf.core.json_files import JsonFileError, read_json
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.metrics.embedding_distribution import EmbeddingDistribution

KINDS_FILE, EMBEDDINGS_FILE = "training_kinds.json", "training_embeddings.safetensors"
WARNINGS_FILE = "training_warnings.json"
FILE_FORMAT = 1
"""Version of ``training_embeddings.safetensors`` and ``training_warnings.json``."""


@dataclass(frozen=True)
class TrainingDomain:
    """What a model was trained on, as far as it knows.

    A model that is fine-tuned gets the domain of the data that it was fine-tuned on, alone: its
    answers and thresholds were learnt there, whatever the weights saw before.

    Attributes:
        kinds: Of its training scans.
        embeddings: How these lie; None where that is not known.
        warnings: Why, as the training found, the model may not be relied on.
    """

    kinds: TrainingKinds
    embeddings: EmbeddingDistribution | None = None
    warnings: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write ``training_*`` beside a model: a file each, and none of what is not known."""
        with atomic_write(folder / KINDS_FILE) as temporary:
            temporary.write_text(self.kinds.to_json(), "utf-8")
        if self.warnings:
            content = {"format": FILE_FORMAT, "warnings": self.warnings}
            with atomic_write(folder / WARNINGS_FILE) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        else:
            (folder / WARNINGS_FILE).unlink(missing_ok=True)
        if self.embeddings is None:
            (folder / EMBEDDINGS_FILE).unlink(missing_ok=True)
            return
        tensors = {
            name: np.ascontiguousarray(value, np.float32 if np.ndim(value) else np.float64)
            for name, value in vars(self.embeddings).items()
        }
        with atomic_write(folder / EMBEDDINGS_FILE) as temporary:
            temporary.write_bytes(save(tensors, {"format": str(FILE_FORMAT)}))


def read_training_domain(folder: Path, model_id: str, hidden_size: int) -> TrainingDomain | None:
    """Read what `TrainingDomain.save` wrote beside a model; None where there is nothing.

    Args:
        folder: Where the model is saved.
        model_id: What to call it in messages.
        hidden_size: Width of the model's embeddings.

    Raises:
        ModelSourceError: If a file is there and cannot be read.
    """
    path = folder / KINDS_FILE
    if not path.is_file():
        return None
    try:
        kinds = TrainingKinds.from_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelSourceError(f"{model_id}: {KINDS_FILE}: {one_line(error)}") from None
    warnings = _read_warnings(folder / WARNINGS_FILE, model_id)
    if not (folder / EMBEDDINGS_FILE).is_file():
        return TrainingDomain(kinds, warnings=warnings)
    try:
        embeddings = _read_embeddings(folder / EMBEDDINGS_FILE, hidden_size)
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelSourceError(f"{model_id}: {EMBEDDINGS_FILE}: {one_line(error)}") from None
    return TrainingDomain(kinds, embeddings, warnings)


def _read_warnings(path: Path, model_id: str) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise JsonFileError(f"{path}: holds {content!r}, expected an object")
        check_format(content.get("format"), FILE_FORMAT)
    except JsonFileError as error:
        raise ModelSourceError(f"{model_id}: {error}") from None
    except FileFormatError as error:
        raise ModelSourceError(f"{model_id}: {WARNINGS_FILE}: {error}") from None
    found = content.get("warnings")
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ModelSourceError(
            f"{model_id}: {WARNINGS_FILE}: warnings holds {found!r}, expected a list of sentences"
        )
    return tuple(found)


def _read_embeddings(path: Path, hidden_size: int) -> EmbeddingDistribution:
    with safe_open(path, "np") as file:
        version = (file.metadata() or {}).get("format", "")
        check_format(int(version) if version.isdecimal() else version, FILE_FORMAT)
        expected = {field.name for field in fields(EmbeddingDistribution)}
        if absent := expected - set(file.keys()):
            raise ValueError(f"has no tensor {min(absent)}")
        found = {name: file.get_tensor(name).astype(np.float64) for name in expected}
    if found["mean"].shape != (hidden_size,):
        raise ValueError(
            f"is of embeddings of shape {found['mean'].shape}, but the model's have {hidden_size} "
            "numbers"
        )
    return EmbeddingDistribution(
        found["mean"],
        found["axes"],
        found["variances"],
        residual_variance=found["residual_variance"].item(),
        log_mean=found["log_mean"].item(),
        log_spread=found["log_spread"].item(),
        num_scans=int(found["num_scans"].item()),
        num_cases=int(found["num_cases"].item()),
    )
