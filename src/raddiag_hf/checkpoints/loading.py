"""Loading of a model, wherever it lies and whoever wrote it, to diagnose or to train further."""

from collections.abc import Sequence

import torch

from raddiag_hf.checkpoints.adapters import ADAPTER_CONFIG, read_adapted_model
from raddiag_hf.checkpoints.loaded_model import LoadedModel, choose_device
from raddiag_hf.checkpoints.saved_model import find_model, read_processor, read_saved_model
from raddiag_hf.checkpoints.training_domain import read_training_domain
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.label_names import label_key
from raddiag_hf.model.label_texts import label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification


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
        model_id: A folder or Hub id of a saved RadDiag model, of LoRA adapters to one, or of the
            authors' repository (``QiaoyuZheng/RP3D-DiagModel``). ``ID:FOLDER`` names a folder in
            it. Adapters are merged into their base, which they name.
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
        ModelSourceError: If the model is not available or readable, or does not fit ``labels``.
        LabelFileError: If the label file in the authors' repository cannot be used.
        DeviceError: If ``device`` is not there.
        ValueError: If ``encoder_chunk_size`` is below 1.

    Example:
        >>> loaded = load_model("model")  # or "QiaoyuZheng/RP3D-DiagModel", the authors' own
        >>> diagnosis = diagnose_case(loaded.model, loaded.processor, scans, domain=loaded.domain)
    """
    if encoder_chunk_size is not None and encoder_chunk_size < 1:
        raise ValueError(f"encoder_chunk_size is {encoder_chunk_size}, expected at least 1")
    target = choose_device(device)
    loaded = read_model(
        model_id, labels=labels, subfolder=subfolder, revision=revision, token=token
    )
    if encoder_chunk_size is not None:
        loaded.model.config.encoder_chunk_size = encoder_chunk_size
    loaded.model.optimize_for_inference(dtype=dtype).to(target)
    return loaded


def read_model(
    model_id: str,
    *,
    labels: Sequence[str] | None = None,
    subfolder: str = "",
    revision: str | None = None,
    token: str | None = None,
) -> LoadedModel:
    """Read a model as it was saved, to train it further: float32, on the CPU.

    Args:
        model_id: See `load_model`, also for the other arguments.
        labels: Label names in the order of the logit columns.
        subfolder: Another way of saying ``ID:FOLDER``.
        revision: Branch, tag or commit on the Hub.
        token: Access token; the one that is signed in by default.

    Raises:
        ModelSourceError: If the model is not available or readable, or does not fit ``labels``.
        LabelFileError: If the label file in the authors' repository cannot be used.
    """
    source, folder = find_model(model_id, subfolder, labels, revision, token)
    has_adapters = (folder / ADAPTER_CONFIG).is_file()
    if has_adapters:
        model = read_adapted_model(folder, model_id, token)
    else:
        model = read_saved_model(folder, model_id)
    if labels is not None:
        _check_labels(model, labels, model_id)
    processor = read_processor(folder, model_id)
    _check_processor(model, processor, model_id)
    domain = read_training_domain(folder, model_id, model.config.hidden_size)
    return LoadedModel(model, processor, model_id, source.commit, has_adapters, domain)


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
        ("num_channels", processor.num_channels,
         processor.num_channels in config.accepted_channels,
         f"the model's {' or '.join(map(str, config.accepted_channels))}"),
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
    own = label_names(model.config)
    if len(own) != len(labels):
        raise ModelSourceError(
            f"{model_id}: has {len(own)} labels, but {len(labels)} label names were given"
        )
    for column, (name, given) in enumerate(zip(own, labels, strict=True)):
        if label_key(name) != label_key(given):
            raise ModelSourceError(
                f"{model_id}: its label {column} is {name!r}, but {given!r} was given; a saved "
                "model knows its labels, so name none"
            )
