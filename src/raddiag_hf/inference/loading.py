"""Load a model to diagnose with, wherever it lies and whoever wrote it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from raddiag_hf.checkpoints.authors_repository import convert_authors_repository
from raddiag_hf.checkpoints.model_source import ModelSource, ModelSourceError, open_model_source
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

BROKEN_FILE_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    StrictDataclassError,
    SafetensorError,
    TypeError,
    LookupError,
    AttributeError,
)
"""What transformers raises, unwrapped, for JSON of another shape than it expects, and for weights
that are not whole."""


class DeviceError(ValueError):
    """A device that was asked for by name and is not there."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to diagnose with, and where it came from.

    Attributes:
        model: On its device, in evaluation mode.
        processor: The image processor that was saved with it.
        model_id: The folder or Hub id that was asked for.
        revision: The commit of the Hub repository; None for a folder.
    """

    model: RadDiagForImageClassification
    processor: RadDiagImageProcessor
    model_id: str
    revision: str | None


def load_model(
    model_id: str,
    *,
    labels: Sequence[str] | None = None,
    subfolder: str = "",
    device: str | None = None,
    dtype: torch.dtype = torch.float32,
    revision: str | None = None,
    token: str | None = None,
    encoder_chunk_size: int | None = None,
) -> LoadedModel:
    """Load a model for inference, converting the authors' checkpoint on first use.

    Args:
        model_id: A folder or Hub id of a saved RadDiag model, or of the authors' repository
            (``QiaoyuZheng/RP3D-DiagModel``). ``ID:FOLDER`` names a folder in it.
        labels: Label names in the order of the logit columns. The authors' checkpoint takes them
            from its repository's label file where there is one; a saved model knows its own, and
            is refused if these differ.
        subfolder: Another way of saying ``ID:FOLDER``.
        device: ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"cpu"``; the fastest there is by default.
        dtype: ``torch.float32`` or ``torch.bfloat16``.
        revision: Branch, tag or commit on the Hub.
        token: Access token; the one that is signed in by default.
        encoder_chunk_size: Slices that are encoded at once; bounds memory. The model's own by
            default.

    Raises:
        ModelSourceError: If the model cannot be had or read, or does not fit ``labels``.
        LabelFileError: If the label file in the authors' repository cannot be used.
        DeviceError: If ``device`` is not there.
        ValueError: If ``encoder_chunk_size`` is below 1.

    Example:
        >>> loaded = load_model("QiaoyuZheng/RP3D-DiagModel")  # doctest: +SKIP
        >>> diagnose_case(loaded.model, loaded.processor, scans)  # doctest: +SKIP
    """
    if encoder_chunk_size is not None and encoder_chunk_size < 1:
        raise ValueError(f"encoder_chunk_size is {encoder_chunk_size}, expected at least 1")
    target = choose_device(device)
    place = model_id
    if ":" in model_id and not subfolder and not Path(model_id).expanduser().exists():
        place, _, subfolder = model_id.rpartition(":")
    source, config = open_model_source(place, subfolder, revision, token)
    folder = _saved_model(source, config, subfolder, labels)
    model = _read_model(folder, model_id)
    if labels is not None:
        _check_labels(model, labels, model_id)
    try:
        processor = RadDiagImageProcessor.from_pretrained(folder)
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: its image processor: {_one_line(error)}") from None
    _check_processor(model, processor, model_id)
    if encoder_chunk_size is not None:
        model.config.encoder_chunk_size = encoder_chunk_size
    model.optimize_for_inference(dtype=dtype).to(target)
    return LoadedModel(model, processor, model_id, source.commit)


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


def _saved_model(
    source: ModelSource,
    config: dict[str, Any] | None,
    subfolder: str,
    labels: Sequence[str] | None,
) -> Path:
    """Return the folder of a saved RadDiag model, from the source or converted from it."""
    if config is None:
        return convert_authors_repository(source, subfolder, labels)
    if config["model_type"] != "raddiag":
        raise ModelSourceError(
            f"{source.name}: config.json says model_type {config['model_type']!r}, expected "
            "'raddiag'"
        )
    return source.fetch_saved_model(subfolder)


def _read_model(folder: Path, model_id: str) -> RadDiagForImageClassification:
    """Read a saved model, refusing one whose weights are not all there: the rest would be noise."""
    try:
        model, report = RadDiagForImageClassification.from_pretrained(
            folder,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: {_one_line(error)}") from None
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if absent:
        raise ModelSourceError(
            f"{model_id}: {len(absent)} tensors are missing or of another shape than config.json "
            f"says, the first is {absent[0]}"
        )
    return model.eval()


def _check_processor(
    model: RadDiagForImageClassification, processor: RadDiagImageProcessor, model_id: str
) -> None:
    """Refuse a processor whose scans the model would misread or not take."""
    config = model.config
    last_slot = max(max(slots) for slots in processor.modality_slots.values())
    for name, found, fits, expected in (
        ("image_size", processor.image_size, processor.image_size == config.image_size,
         f"the model's {config.image_size}"),
        ("max_slices", processor.max_slices, processor.max_slices <= config.max_slices,
         f"at most the model's {config.max_slices}"),
        ("modality_slots", last_slot, last_slot < config.num_modality_slots,
         f"less than the model's {config.num_modality_slots}"),
    ):  # fmt: skip
        if not fits:
            raise ModelSourceError(
                f"{model_id}: its image processor has {name} {found}, expected {expected}"
            )


def _check_labels(
    model: RadDiagForImageClassification, labels: Sequence[str], model_id: str
) -> None:
    own = [model.config.id2label[index] for index in range(model.config.num_labels)]
    if len(own) != len(labels):
        raise ModelSourceError(
            f"{model_id}: has {len(own)} labels, but {len(labels)} label names were given"
        )
    for column, (name, given) in enumerate(zip(own, labels, strict=True)):
        if name != given:
            raise ModelSourceError(
                f"{model_id}: its label {column} is {name!r}, but {given!r} was given; a saved "
                "model knows its labels, so name none"
            )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
