"""Record of a training: what was done and found, what the model card says; nobody is named."""

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from raddiag_hf.core.file_format import check_format

FILE_FORMAT = 1
"""Version of ``training.json`` and ``finetuning.json``."""


@dataclass(frozen=True, kw_only=True)
class TrainingOrigin:
    """What is known of a training before it begins.

    Attributes:
        base_model: Hub id of the model that it starts from, or the name of its folder; None where
            it starts from random weights.
        base_revision: Its commit on the Hub.
        method: ``from-scratch``, ``continued``, or a value of `Method`.
        head: Where the classifier comes from, in words.
        fusion: Whether scans are fused, in words.
        hyperparameters: The settings that decide the result, as JSON values.
        is_adapter: Whether adapters alone are saved, beside the name of their base.
        choices: What nobody asked for and was chosen by start and data, with the reason.
    """

    base_model: str | None
    base_revision: str | None
    method: str
    head: str
    fusion: str
    hyperparameters: Mapping[str, Any]
    is_adapter: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(TrainingOrigin):
    """A finished training.

    Attributes:
        label_names: In the order of the logits.
        data: Counts; see `CaseSplits.describe`.
        selection: What was chosen on validation, and how, in words.
        is_exclusive: Whether a case has exactly one label: the most probable one is predicted.
        threshold_source: How labels are decided and probabilities calibrated, in words; None where
            they are not.
        calibration_temperature: What logits are divided by; 1 where that gained nothing.
        metrics: Of the test cases, see `EvaluationResult.to_dict`; None without a test split.
        warnings: Why the model or its numbers may not be relied on, and what to change.
        notes: What a user of the model has to know.
        training_kinds: See `TrainingKinds.to_list`; empty in records of earlier versions.
        ood_score: What the out-of-distribution score was fitted to, and how many test cases it
            counts as far; None where the model has none.
        created_at: Date, ISO 8601.
        hardware: What trained it.
        versions: Of the packages that matter.
    """

    label_names: tuple[str, ...]
    data: Mapping[str, Any]
    selection: str
    is_exclusive: bool = False
    threshold_source: str | None
    calibration_temperature: float
    metrics: Mapping[str, Any] | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    created_at: str
    hardware: str
    versions: Mapping[str, str]
    training_kinds: tuple[Mapping[str, Any], ...] = ()
    ood_score: Mapping[str, Any] | None = None

    def to_json(self) -> str:
        """Return the record as JSON text."""
        content = {"format": FILE_FORMAT, **asdict(self)}
        return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "TrainingRecord":
        """Return the record that `to_json` wrote.

        Raises:
            ValueError: If the text is not such JSON, or of a newer format.
        """
        try:
            content = json.loads(text)
            check_format(content.pop("format", 1), FILE_FORMAT)
            earlier = {
                "choices": [],
                "warnings": [],
                "training_kinds": [],
                "is_adapter": content["method"] == "lora",
            }
            content = earlier | content  # records of earlier versions did not say
            content |= {
                name: tuple(content[name])
                for name in ("label_names", "warnings", "notes", "choices", "training_kinds")
            }
            return cls(**content)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"is no record of a training: {error!r}") from error


def describe_hardware(device: torch.device) -> str:
    """Return the name of the GPU, or how many CPU cores there are."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {os.cpu_count()} cores, {platform.machine()}"


def public_name(model_id: str) -> str:
    """Return a Hub id as it is, and of a folder its name alone: paths are nobody's business."""
    path = Path(model_id).expanduser()
    return path.resolve().name if path.is_dir() else model_id
