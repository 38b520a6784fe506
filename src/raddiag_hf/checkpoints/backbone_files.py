"""Backbone files: what is read of a vision model's folder, and what is refused there."""

import logging
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import MODEL_MAPPING, AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from raddiag_hf.checkpoints.foreign_settings import check_configuration, check_shards
from raddiag_hf.checkpoints.saved_model import PROCESSOR_FILE, read_json_object, require_packages
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.model_source import ModelSource, ModelSourceError, open_model_source

logger = logging.getLogger(__name__)

SETTINGS_FILES = ("config.json", PROCESSOR_FILE)
SAFE_WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
TENSOR_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
"""Pickles, of which transformers reads tensors alone (``weights_only=True``)."""
WEIGHT_ENDINGS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors")
POOLER_PREFIXES = ("pooler.", "head.")
"""What only ``backbone_pooling="pooled"`` reads; many checkpoints of classifiers lack it."""
READ_ERRORS = (OSError, ValueError, KeyError, RuntimeError, ImportError, StrictDataclassError)
"""What transformers raises for configurations that it does not know and weights that do not fit."""


def open_backbone(backbone_id: str, revision: str | None, token: str | None) -> ModelSource:
    """Find a backbone; see `load_backbone` for the arguments.

    Raises:
        ModelSourceError: If it is not available, is a RadDiag model, or has no configuration that
            transformers reads; the message names what can be done with what is there.
    """
    if not backbone_id.strip():
        raise ModelSourceError("a backbone is named by a folder or Hub id, and none was given")
    if Path(backbone_id).expanduser().is_file():
        raise ModelSourceError(
            f"{backbone_id}: is a file, expected the folder or Hub id of a model with "
            f"config.json{_use_of_weights(backbone_id)}"
        )
    source, content = open_model_source(backbone_id, "", revision, token)
    if content is not None and content["model_type"] == "raddiag":
        raise ModelSourceError(
            f"{backbone_id}: is a RadDiag model, not a backbone: give it as the model to start "
            f"from, `raddiag finetune --model {backbone_id}`"
        )
    if content is None and "config.json" not in (files := source.list_files()):
        if "open_clip_config.json" in files:
            raise ModelSourceError(
                f"{backbone_id}: is a model of open_clip, expected one of transformers or timm"
            )
        has_weights = any(file.endswith(WEIGHT_ENDINGS) for file in files)
        raise ModelSourceError(
            f"{backbone_id}: has no config.json, expected a model as save_pretrained writes it, or "
            f"as timm puts it on the Hub{_use_of_weights(backbone_id) if has_weights else ''}"
        )
    return source


def _use_of_weights(address: str) -> str:
    return (
        "; a ResNet with torchvision's names is what `raddiag train pretrain ... "
        f"model.backbone_weights={address}` starts from"
    )


def read_backbone_config(folder: Path, backbone_id: str) -> PreTrainedConfig:
    """Read a backbone's configuration; of a model of pictures and texts, its vision tower's."""
    content = read_json_object(folder / "config.json", backbone_id)
    check_configuration(content, f"{backbone_id}: config.json")
    of_timm = {"model_type": "timm_wrapper"} if "architecture" in content else {}
    require_packages((of_timm | content).get("model_type", ""), backbone_id)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except READ_ERRORS as error:
        if "auto_map" in content:
            raise ModelSourceError(
                f"{backbone_id}: config.json names code of its own (auto_map), which is never run; "
                "expected a model that transformers itself knows"
            ) from None
        raise ModelSourceError(f"{backbone_id}: config.json: {one_line(error)}") from None
    config = getattr(config, "vision_config", config)
    if type(config) not in MODEL_MAPPING:
        raise ModelSourceError(
            f"{backbone_id}: config.json says model_type {config.model_type!r}, which AutoModel of "
            "transformers does not load"
        )
    config.num_labels = 2  # names of a thousand classes would travel with every model
    config.name_or_path = ""  # a folder may be named after people
    return config


def fetch_weights(source: ModelSource, backbone_id: str) -> Path:
    """Return the folder with weights: tensors alone, or else a pickle that is read as such."""
    for patterns in (SAFE_WEIGHTS, TENSOR_WEIGHTS):
        folder = source.fetch_folder((*SETTINGS_FILES, *patterns))
        if any(any(folder.glob(pattern)) for pattern in patterns):
            return folder
    raise ModelSourceError(
        f"{backbone_id}: has no weights, expected model.safetensors or pytorch_model.bin"
    )


def read_network(
    folder: Path, config: PreTrainedConfig, backbone_id: str
) -> tuple[PreTrainedModel, list[str]]:
    """Read a backbone, refusing one whose weights are not all there: the rest would be noise.

    Returns:
        The network, float32; and the weights of its own pooling head that are missing.
    """
    check_shards(folder, backbone_id)
    try:
        network, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    except UnpicklingError:
        raise ModelSourceError(
            f"{backbone_id}: its weights are a pickle of more than tensors, which could run code; "
            "use a copy with model.safetensors"
        ) from None
    except (*READ_ERRORS, SafetensorError) as error:
        raise ModelSourceError(f"{backbone_id}: {one_line(error)}") from None
    _check_kind(network, config, backbone_id)
    absent = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    needed = [name for name in absent if not name.startswith(POOLER_PREFIXES)]
    if needed:
        raise ModelSourceError(
            f"{backbone_id}: {len(needed)} tensors are missing or of another shape than "
            f"config.json says, the first is {needed[0]}"
        )
    if unused := sorted(report["unexpected_keys"]):
        logger.info("%s: %d tensors are not used: %s", backbone_id, len(unused), ", ".join(unused))
    return network.eval(), absent


def _check_kind(network: PreTrainedModel, config: PreTrainedConfig, backbone_id: str) -> None:
    """Refuse what is no encoder of single pictures."""
    found = None
    if network.main_input_name != "pixel_values":
        found = f"reads {network.main_input_name}"
    elif (num_frames := getattr(config, "num_frames", None)) is not None:
        found = f"reads videos of {num_frames} frames"
    elif config.is_encoder_decoder:
        found = f"is a {config.model_type}, which answers with objects or texts"
    if found is not None:
        raise ModelSourceError(f"{backbone_id}: {found}, expected an encoder of single pictures")


def processor_settings(folder: Path, backbone_id: str) -> dict[str, Any]:
    """Return what the image processor that is saved beside a backbone says; empty without one."""
    if not (folder / PROCESSOR_FILE).is_file():
        return {}
    return read_json_object(folder / PROCESSOR_FILE, f"{backbone_id}: its image processor")
