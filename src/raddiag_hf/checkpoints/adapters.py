"""Adapters as PEFT saves them: read with the base that they name, and merged into it."""

import logging
from pathlib import Path

from safetensors import SafetensorError, safe_open

from raddiag_hf.checkpoints.foreign_settings import check_adapter_settings
from raddiag_hf.checkpoints.saved_model import (
    check_weights,
    find_model,
    read_config,
    read_json_object,
    read_saved_model,
)
from raddiag_hf.core.errors import one_line
from raddiag_hf.core.extras import require_extra
from raddiag_hf.core.file_format import FileFormatError, check_format
from raddiag_hf.core.fingerprint import weights_fingerprint
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

logger = logging.getLogger(__name__)

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""What PEFT writes of adapters; their base is read from where the first says."""
ADAPTER_BASE, BASE_DIGEST_KEY = "adapter_base.json", "weights_digest"
ADAPTER_BASE_FORMAT = 1
"""What we write beside them: the `weights_fingerprint` of the one model that they belong to."""

PEFT_ERRORS = (OSError, ValueError, RuntimeError, TypeError, LookupError, SafetensorError)
"""What PEFT raises for settings of other types than it expects, and for weights that do not fit."""


def read_adapted_model(
    folder: Path, model_id: str, token: str | None
) -> RadDiagForImageClassification:
    """Read the base that adapters name, and merge them into it.

    Args:
        folder: Where the adapters are saved.
        model_id: What to call them in messages.
        token: Access token for the base; the one that is signed in by default.

    Raises:
        ExtraMissingError: If PEFT is not installed.
        ModelSourceError: If adapters or base cannot be read or do not belong together.
    """
    require_extra("peft", extra="peft", needed_by=f"{model_id}: a model of adapters")
    from peft import PeftModel, get_peft_model_state_dict

    adapter = read_json_object(folder / ADAPTER_CONFIG, f"{model_id}: its adapters")
    check_adapter_settings(adapter, model_id)
    check_weights(folder, model_id)
    base_id = adapter.get("base_model_name_or_path")
    try:
        with safe_open(folder / ADAPTER_WEIGHTS, "pt") as weights:
            stored = set(weights.keys())
    except (OSError, SafetensorError) as error:
        raise ModelSourceError(f"{model_id}: its adapters: {one_line(error)}") from None
    learnt = {name.removeprefix("base_model.model.") for name in stored}
    config = read_config(folder, f"{model_id}: its adapters")
    if not isinstance(base_id, str):
        raise ModelSourceError(
            f"{model_id}: {ADAPTER_CONFIG}: base_model_name_or_path is {base_id!r}, expected the "
            "folder or Hub id of the adapted model"
        )
    try:
        _, base_folder = find_model(base_id, "", None, adapter.get("revision"), token)
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
    except PEFT_ERRORS as error:
        raise ModelSourceError(f"{model_id}: its adapters: {one_line(error)}") from None
    used = get_peft_model_state_dict(adapted)
    if unused := sorted(stored - used.keys()):
        raise ModelSourceError(
            f"{model_id}: {len(unused)} tensors of its adapters belong to no module, the first is "
            f"{unused[0]}"
        )
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
    record = read_json_object(path, f"{model_id}: its adapters")
    try:
        check_format(record.get("format", 1), ADAPTER_BASE_FORMAT)
    except FileFormatError as error:
        raise ModelSourceError(f"{model_id}: {ADAPTER_BASE}: {error}") from None
    if weights_fingerprint(base.state_dict()) != record.get(BASE_DIGEST_KEY):
        raise ModelSourceError(
            f"{model_id}: its adapters were trained on other weights than {base_id} holds: it has "
            "changed since"
        )
