"""Load a model to diagnose with, wherever it lies and whoever wrote it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from raddiag_hf.checkpoints.authors_repository import convert_authors_repository
from raddiag_hf.core.errors import InputError, one_line
from raddiag_hf.core.fingerprint import weights_fingerprint
from raddiag_hf.core.model_source import ModelSource, ModelSourceError, open_model_source
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.label_texts import label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

logger = logging.getLogger(__name__)

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

SAVED_MODEL_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_base.json",
)
"""What ``save_pretrained`` of model, adapters and processor writes, as patterns."""

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""What PEFT writes of adapters; their base is read from where the first says."""
ADAPTER_BASE, BASE_DIGEST_KEY = "adapter_base.json", "weights_digest"
"""What we write beside them: the `weights_fingerprint` of the one model that they belong to."""


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
    """

    model: RadDiagForImageClassification
    processor: RadDiagImageProcessor
    model_id: str
    revision: str | None
    has_adapters: bool = False


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
        >>> loaded = load_model("QiaoyuZheng/RP3D-DiagModel")  # doctest: +SKIP
        >>> diagnose_case(loaded.model, loaded.processor, scans)  # doctest: +SKIP
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
    source, folder = _find_model(model_id, subfolder, labels, revision, token)
    has_adapters = (folder / ADAPTER_CONFIG).is_file()
    if has_adapters:
        model = _read_adapted_model(folder, model_id, token)
    else:
        model = read_saved_model(folder, model_id)
    if labels is not None:
        _check_labels(model, labels, model_id)
    try:
        processor = RadDiagImageProcessor.from_pretrained(folder)
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: its image processor: {one_line(error)}") from None
    _check_processor(model, processor, model_id)
    return LoadedModel(model, processor, model_id, source.commit, has_adapters)


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


def _find_model(
    model_id: str,
    subfolder: str,
    labels: Sequence[str] | None,
    revision: str | None,
    token: str | None,
) -> tuple[ModelSource, Path]:
    """Return where a model comes from, and the folder of it as saved or converted."""
    place = model_id
    if ":" in model_id and not subfolder and not Path(model_id).expanduser().exists():
        place, _, subfolder = model_id.rpartition(":")
    source, config = open_model_source(place, subfolder, revision, token)
    if config is None:
        return source, convert_authors_repository(source, subfolder, labels)
    if config["model_type"] != "raddiag":
        raise ModelSourceError(
            f"{source.name}: config.json says model_type {config['model_type']!r}, expected "
            "'raddiag'"
        )
    return source, source.fetch_folder(SAVED_MODEL_FILES, subfolder)


def read_saved_model(folder: Path, model_id: str) -> RadDiagForImageClassification:
    """Read a saved model, refusing one whose weights are not all there: the rest would be noise.

    Args:
        folder: Where it is saved.
        model_id: What to call it in messages.

    Raises:
        ModelSourceError: If it cannot be read.
    """
    try:
        model, report = RadDiagForImageClassification.from_pretrained(
            folder,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: {one_line(error)}") from None
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if absent:
        raise ModelSourceError(
            f"{model_id}: {len(absent)} tensors are missing or of another shape than config.json "
            f"says, the first is {absent[0]}"
        )
    return model.eval()


def _read_adapted_model(
    folder: Path, model_id: str, token: str | None
) -> RadDiagForImageClassification:
    """Read the base that adapters name, and merge them into it."""
    try:
        from peft import PeftModel
    except ImportError:
        raise ModelSourceError(
            f"{model_id}: holds adapters, which need PEFT: pip install 'raddiag-hf[peft]'"
        ) from None
    try:
        adapter = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
        base_id, revision = adapter["base_model_name_or_path"], adapter.get("revision")
        with safe_open(folder / ADAPTER_WEIGHTS, "pt") as weights:
            learnt = {name.removeprefix("base_model.model.") for name in weights.keys()}  # noqa: SIM118
        config = RadDiagConfig.from_pretrained(folder)
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: its adapters: {one_line(error)}") from None
    if not isinstance(base_id, str):
        raise ModelSourceError(
            f"{model_id}: {ADAPTER_CONFIG}: base_model_name_or_path is {base_id!r}, expected the "
            "folder or Hub id of the adapted model"
        )
    try:
        _, base_folder = _find_model(base_id, "", None, revision, token)
        if (base_folder / ADAPTER_CONFIG).is_file():
            raise ModelSourceError("is itself an adapter, which is not supported")
        base = read_saved_model(base_folder, base_id)
    except ModelSourceError as error:
        raise ModelSourceError(
            f"{model_id}: the model that its adapters belong to is not available: {error}"
        ) from None
    _check_base(folder, model_id, base, base_id)
    model = RadDiagForImageClassification(config)
    wanted = model.state_dict()
    weights = {
        name: weight
        for name, weight in base.state_dict().items()
        if name in wanted and weight.shape == wanted[name].shape
    }
    if absent := wanted.keys() - weights.keys() - learnt:
        raise ModelSourceError(
            f"{model_id}: its adapters belong to another model than {base_id}, which has no "
            f"{min(absent)} of that shape"
        )
    model.load_state_dict(weights, strict=False)
    try:
        adapted = PeftModel.from_pretrained(model, str(folder))
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: its adapters: {one_line(error)}") from None
    merged: RadDiagForImageClassification = adapted.merge_and_unload()
    return merged.requires_grad_(True).eval()


def _check_base(
    folder: Path, model_id: str, base: RadDiagForImageClassification, base_id: str
) -> None:
    """Refuse adapters whose base is no longer the model that they were trained on."""
    path = folder / ADAPTER_BASE
    if not path.is_file():
        logger.warning(
            "%s: has no %s, so nothing tells whether %s is still the model that its adapters were "
            "trained on", model_id, ADAPTER_BASE, base_id,
        )  # fmt: skip
        return
    try:
        expected = json.loads(path.read_text("utf-8"))[BASE_DIGEST_KEY]
    except BROKEN_FILE_ERRORS as error:
        raise ModelSourceError(f"{model_id}: {ADAPTER_BASE}: {one_line(error)}") from None
    if weights_fingerprint(base.state_dict()) != expected:
        raise ModelSourceError(
            f"{model_id}: its adapters were trained on other weights than {base_id} holds: it has "
            "changed since"
        )


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
    own = label_names(model.config)
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
