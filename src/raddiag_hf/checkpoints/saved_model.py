"""Saved model: where its folder comes from, and what is read there, file by file.

Each reader names the errors that its library raises on a broken file, and no others: an error of
our own code must not be told as a fault of the file.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from raddiag_hf.checkpoints.authors_repository import convert_authors_repository
from raddiag_hf.checkpoints.foreign_settings import check_configuration, check_shards
from raddiag_hf.checkpoints.training_domain import EMBEDDINGS_FILE, KINDS_FILE, WARNINGS_FILE
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.extras import require_extra
from raddiag_hf.core.json_files import JsonFileError, read_json
from raddiag_hf.core.model_source import ModelSource, ModelSourceError, open_model_source
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.model.weight_digests import DIGEST_FILE, find_damaged_weights

SAVED_MODEL_FILES = (
    "config.json",
    "preprocessor_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "adapter_base.json",
    KINDS_FILE,
    WARNINGS_FILE,
    EMBEDDINGS_FILE,
    DIGEST_FILE,
)
"""What ``save_pretrained`` of model, adapters and processor writes, as patterns, and the domain."""

PROCESSOR_FILE = "preprocessor_config.json"
SMALL_NETWORK = 10_000_000
"""Weights that may be missing at once; they are refused by name afterwards."""


def find_model(
    model_id: str,
    subfolder: str,
    labels: Sequence[str] | None,
    revision: str | None,
    token: str | None,
) -> tuple[ModelSource, Path]:
    """Return where a model comes from, and the folder of it as saved or converted.

    Raises:
        ModelSourceError: If it is not available, or is no model of ours or the authors'.
        LabelFileError: If the label file in the authors' repository cannot be used.
    """
    place = model_id
    if ":" in model_id and not subfolder and not Path(model_id).expanduser().exists():
        place, _, subfolder = model_id.rpartition(":")
    source, config = open_model_source(place, subfolder, revision, token)
    if config is None:
        return source, convert_authors_repository(source, subfolder, labels)
    if config["model_type"] != "raddiag":
        raise ModelSourceError(
            f"{source.name}: config.json says model_type {config['model_type']!r}, expected "
            "'raddiag'; a vision model can be what `raddiag finetune --start "
            f"backbone:{source.name}` starts from"
        )
    return source, source.fetch_folder(SAVED_MODEL_FILES, subfolder)


def read_saved_model(folder: Path, model_id: str) -> RadDiagForImageClassification:
    """Read a saved model, refusing one whose weights are not all there: the rest would be noise.

    Args:
        folder: Where it is saved.
        model_id: What to call it in messages.

    Raises:
        ModelSourceError: If it cannot be read.
        ExtraMissingError: If its backbone needs timm, which is not installed.
    """
    config = read_config(folder, model_id)
    require_packages(getattr(config.backbone_config, "model_type", ""), model_id)
    check_shards(folder, model_id)
    check_weights(folder, model_id)
    _check_size(folder, config, model_id)
    try:
        model, report = RadDiagForImageClassification.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelSourceError(f"{model_id}: {one_line(error)}") from None
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if absent:
        raise ModelSourceError(
            f"{model_id}: {len(absent)} tensors are missing or of another shape than config.json "
            f"says, the first is {absent[0]}"
        )
    return model.eval()


def check_weights(folder: Path, model_id: str) -> None:
    """Refuse weights that are not as we wrote them.

    Raises:
        ModelSourceError: As it says.
    """
    if (damage := find_damaged_weights(folder)) is not None:
        raise ModelSourceError(f"{model_id}: {damage}")


def _check_size(folder: Path, config: RadDiagConfig, model_id: str) -> None:
    """Refuse a network that is far larger than its weights, before memory is taken for it."""
    try:
        with torch.device("meta"):
            model = RadDiagForImageClassification(config)
        expected = sum(weight.numel() for weight in model.state_dict().values())
    except (ValueError, RuntimeError, OverflowError) as error:  # no tensor can be as large
        raise ModelSourceError(f"{model_id}: config.json: {one_line(error)}") from None
    found = 0
    for path in folder.glob("model*.safetensors"):
        try:
            with safe_open(path, "pt") as weights:
                shapes = (weights.get_slice(name).get_shape() for name in weights.keys())  # noqa: SIM118
                found += sum(map(math.prod, shapes))
        except (OSError, SafetensorError) as error:
            raise ModelSourceError(f"{model_id}: {path.name}: {one_line(error)}") from None
    if expected > 2 * found + SMALL_NETWORK:
        raise ModelSourceError(
            f"{model_id}: config.json describes a network of {expected:,} weights, but its files "
            f"(model.safetensors) hold {found:,}"
        )


def read_config(folder: Path, model_id: str) -> RadDiagConfig:
    """Read the configuration of a saved model.

    Raises:
        ModelSourceError: If it cannot be read, or asks for what is not read from foreign files.
    """
    content = read_json_object(folder / "config.json", model_id)
    check_configuration(content, f"{model_id}: config.json")
    try:
        return RadDiagConfig.from_pretrained(folder)
    except (
        OSError,
        ValueError,
        StrictDataclassError,
        # transformers looks at `dtype` and `id2label` before anybody has checked their types.
        AttributeError,
        IndexError,
    ) as error:
        raise ModelSourceError(f"{model_id}: config.json: {one_line(error)}") from None


def require_packages(backbone_type: str, model_id: str) -> None:
    """Refuse a backbone that needs packages which are not installed.

    Args:
        backbone_type: The ``model_type`` of its configuration.
        model_id: What to call it in messages.

    Raises:
        ExtraMissingError: If one is missing.
    """
    if backbone_type == "timm_wrapper":
        require_extra("timm", extra="timm", needed_by=f"{model_id}: a model of timm")
        require_extra("torchvision", extra="timm", needed_by=f"{model_id}: a model of timm")


def read_processor(folder: Path, model_id: str) -> RadDiagImageProcessor:
    """Read the image processor that is saved beside a model.

    Raises:
        ModelSourceError: If it cannot be read.
    """
    read_json_object(folder / PROCESSOR_FILE, f"{model_id}: its image processor")
    try:
        return RadDiagImageProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ModelSourceError(f"{model_id}: its image processor: {one_line(error)}") from None


def read_json_object(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file whose content is an object.

    Args:
        path: The file.
        what: What to call it in messages.

    Raises:
        ModelSourceError: If it is not there, or something else.
    """
    try:
        content = read_json(path)
    except JsonFileError as error:
        raise ModelSourceError(f"{what}: {error}") from None
    if not isinstance(content, dict):
        raise ModelSourceError(f"{what}: {path.name}: holds {content!r}, expected an object")
    return content
