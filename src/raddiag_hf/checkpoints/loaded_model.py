"""Loaded model: what it is, whether it can answer, and the device that it runs on."""

import json
from dataclasses import dataclass

import torch

from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import weights_fingerprint
from raddiag_hf.model.heads import KnowledgeHead
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

_WITHOUT_EFFECT = frozenset(
    {
        "_name_or_path",
        "architectures",
        "calibration_temperature",
        "decision_threshold_source",
        "decision_thresholds",
        "dtype",
        "encoder_chunk_size",
        "late_fusion_training",
        "transformers_version",
    }
)
"""Fields of a configuration that change no logit."""

LARGEST_LOGIT = 1e4
"""Of a network that learnt from cases: a thousandth of it is a probability of 0.99995."""


class LabelTextsMissingError(InputError):
    """A model whose knowledge classifier nobody gave label texts: which, and how to mend it."""


class DeviceError(InputError):
    """A device that was asked for by name and is not there."""


@dataclass(frozen=True)
class LoadedModel:
    """A model and where it came from.

    Attributes:
        model: In evaluation mode; from `load_model`, on its device and optimised for inference.
        processor: The image processor that was saved with it.
        model_id: The folder or Hub id that was asked for.
        revision: The commit of the Hub repository; None for a folder.
        has_adapters: Whether these are adapters, merged into the base that they name.
        domain: What it was trained on; None where nothing says so.
    """

    model: RadDiagForImageClassification
    processor: RadDiagImageProcessor
    model_id: str
    revision: str | None
    has_adapters: bool = False
    domain: TrainingDomain | None = None


def model_fingerprint(loaded: LoadedModel) -> str:
    """Return a SHA-256 of all that the logits of a model depend on, in hexadecimal.

    These are its weights, in the type that it computes in, its configuration except thresholds and
    calibration, and its image processor; not the device, nor how many slices are encoded at once.
    """
    config = {
        name: value
        for name, value in loaded.model.config.to_dict().items()
        if name not in _WITHOUT_EFFECT
    }
    settings = (config, loaded.processor.to_dict())
    prefix = json.dumps(settings, sort_keys=True, default=str).encode()
    return weights_fingerprint(loaded.model.state_dict(), prefix)


def find_unreasonable(logits: torch.Tensor) -> str | None:
    """Return what of an answer no sound network gives, in words; None where it is reasonable."""
    if not bool(torch.isfinite(logits).all()):
        return "is not finite"
    largest = float(logits.abs().max()) if logits.numel() else 0.0
    return f"has a logit of {largest:.3g}" if largest > LARGEST_LOGIT else None


def check_label_texts(model: RadDiagForImageClassification, model_id: str | None = None) -> None:
    """Refuse a knowledge classifier without label texts; any other classifier passes.

    Args:
        model: About to be trained or asked.
        model_id: What to call it in the message; its folder or Hub id by default.

    Raises:
        LabelTextsMissingError: If no label text was ever set.
    """
    head = model.classifier
    if isinstance(head, KnowledgeHead) and not head.has_label_embeddings():
        name = model_id or model.name_or_path or "the model"
        raise LabelTextsMissingError(
            f"{name}: its knowledge classifier has no label texts, so that every label would get "
            "the same score; embed its labels with `raddiag knowledge embed --encoder ... --labels "
            "... --model ...`, or with model.set_label_texts"
        )


def choose_device(name: str | None = None) -> torch.device:
    """Return the device of that name, or the fastest there is: CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: If there is no such device.
    """
    has_mps = torch.backends.mps.is_available()
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device {name!r}: expected cuda, cuda:N, mps or cpu") from None
    count = {"cuda": torch.cuda.device_count(), "mps": int(has_mps), "cpu": 1}.get(device.type, 0)
    if (device.index or 0) >= count:
        raise DeviceError(f"device {name!r}: PyTorch sees {count or 'no'} such device here")
    return device
