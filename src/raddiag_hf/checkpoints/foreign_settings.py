"""Settings that come with foreign weights, checked before transformers or PEFT act on them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raddiag_hf.core.json_files import JsonFileError, read_json
from raddiag_hf.core.model_source import ModelSourceError

ATTENTION_KEYS = ("attn_implementation", "experts_implementation")
OWN_ATTENTION = (None, "eager", "sdpa")
"""What comes with transformers and torch; other names fetch kernels, which are code."""
CODE_KEYS = ("quantization_config", "use_kernels", "kernel_config")
TIMM_ARGUMENTS = ("checkpoint_path", "pretrained", "pretrained_cfg", "cache_dir", "features_only")
"""Of ``timm.create_model``: what reads or fetches files of its own."""
MOST_LABELS, MOST_LAYERS, LARGEST = 1_000_000, 1000, 2**31
LABEL_KEYS = ("id2label", "label2id")
_OF_LAYERS = re.compile(r"layers?$|depths?$|blocks?$|stages$")

PLAIN_NAME = re.compile(r"[\w.]+")
MOST_RANK = 4096
PLAIN_ADAPTER_LISTS = ("target_modules", "modules_to_save", "exclude_modules", "layers_pattern")
ADAPTER_PATTERNS = ("rank_pattern", "alpha_pattern")
NEUTRAL_ADAPTER_KEYS = frozenset(
    {
        "alora_invocation_tokens", "arrow_config", "corda_config", "ensure_weight_tying",
        "eva_config", "kasa_config", "layer_replication", "layers_to_transform", "loftq_config",
        "lora_ga_config", "megatron_config", "monteclora_config", "target_parameters",
        "trainable_token_indices", "use_bdlora", "use_qalora", "velora_config",
    }
)  # fmt: skip
"""Variants of LoRA that we do not write: they name files, more settings, or other arithmetic."""


def check_configuration(content: Mapping[str, Any], what: str) -> None:
    """Refuse a configuration that asks for kernels, quantisation, files, or absurd sizes.

    Args:
        content: Of ``config.json``, with the configurations in it.
        what: What to call it in messages.

    Raises:
        ModelSourceError: If it does; the message names the field.
    """
    for key, value in _fields(content):
        bare = key.removeprefix("_").removesuffix("_internal")
        found = None
        if bare in ATTENTION_KEYS:
            values = value.values() if isinstance(value, dict) else [value]
            if any(one not in OWN_ATTENTION for one in values):
                found = "expected eager or sdpa: others fetch code that is not run here"
        elif bare in CODE_KEYS and value not in (None, False, {}):
            found = "which is not supported; use a copy in float32 or bfloat16"
        elif key == "model_args" and isinstance(value, dict):
            if taken := sorted(set(TIMM_ARGUMENTS).intersection(value)):
                found = f"which names {taken[0]}: files of others are not read"
        elif key == "architecture" and isinstance(value, str) and re.search(r"[:/\\]", value):
            found = "expected the name of an architecture"
        elif found_size := _excess(key, value):
            found = found_size
        if found is not None:
            shown = repr(value)
            raise ModelSourceError(f"{what}: {key} is {shown[:80]}, {found}")


def check_shards(folder: Path, what: str) -> None:
    """Refuse an index of weights that names files elsewhere.

    Raises:
        ModelSourceError: If it does, or is none.
    """
    path = folder / "model.safetensors.index.json"
    if not path.is_file():
        return
    try:
        content = read_json(path)
    except JsonFileError as error:
        raise ModelSourceError(f"{what}: {error}") from None
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict):
        raise ModelSourceError(f"{what}: {path.name}: has no weight_map")
    for shard in shards.values():
        if not isinstance(shard, str) or not re.fullmatch(r"[\w.-]+\.safetensors", shard):
            raise ModelSourceError(
                f"{what}: {path.name}: names {str(shard)[:80]!r}, expected files beside it"
            )


def check_adapter_settings(content: Mapping[str, Any], what: str) -> None:
    """Refuse adapters that are not plain LoRA on modules that are named one by one.

    PEFT takes names as regular expressions, which can take for ever, and leaves the weights of
    kinds that it does not know for these modules unused.

    Args:
        content: Of ``adapter_config.json``.
        what: What to call it in messages.

    Raises:
        ModelSourceError: As it says; the message names the field.
    """
    for key, value in content.items():
        expected = None
        if key == "peft_type" and value != "LORA":
            expected = "LORA"
        elif key in PLAIN_ADAPTER_LISTS and not _is_list_of_names(value):
            expected = "a list of names of modules"
        elif key in ADAPTER_PATTERNS and not _is_table_of_numbers(value):
            expected = "names of modules and their numbers"
        elif key == "r" and not (type(value) is int and 0 < value <= MOST_RANK):
            expected = f"a number from 1 to {MOST_RANK}"
        elif key == "lora_alpha" and type(value) not in (int, float):
            expected = "a number"
        elif key == "init_lora_weights" and value not in (True, False, "gaussian"):
            expected = "true, false or gaussian"
        elif key == "auto_mapping" and not _is_own_mapping(value):
            expected = "a class of raddiag_hf"
        elif key in NEUTRAL_ADAPTER_KEYS and value not in (None, False, {}, []):
            expected = "nothing: this variant of LoRA is not read"
        if expected is not None:
            raise ModelSourceError(
                f"{what}: adapter_config.json: {key} is {repr(value)[:80]}, expected {expected}"
            )
    for key in ("peft_type", "target_modules"):
        if key not in content:
            raise ModelSourceError(f"{what}: adapter_config.json: has no {key}")


def _fields(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a configuration and of those in it; `read_json` bounds their depth.

    Names of labels are no fields, whatever they end in, such as an atrioventricular block.
    """
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield str(key), value
            if key not in LABEL_KEYS:
                yield from _fields(value)
    elif isinstance(content, list):
        for value in content:
            yield from _fields(value)


def _excess(key: str, value: Any) -> str | None:
    most = LARGEST
    if key in ("num_labels", "num_classes"):
        most = MOST_LABELS
    elif _OF_LAYERS.search(key):
        most = MOST_LAYERS
    if key in LABEL_KEYS and isinstance(value, (dict, list)):
        return f"expected at most {MOST_LABELS:,} labels" if len(value) > MOST_LABELS else None
    values = value if isinstance(value, list) else [value]
    if any(isinstance(one, int) and abs(one) > most for one in values):
        return f"expected at most {most:,}"
    return None


def _is_list_of_names(value: Any) -> bool:
    return value is None or (
        isinstance(value, list)
        and all(isinstance(one, str) and PLAIN_NAME.fullmatch(one) for one in value)
    )


def _is_table_of_numbers(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and _is_list_of_names(list(value))
        and all(type(one) in (int, float) and 0 < one <= MOST_RANK for one in value.values())
    )


def _is_own_mapping(value: Any) -> bool:
    if value is None:
        return True
    library = value.get("parent_library") if isinstance(value, dict) else None
    return library is None or (isinstance(library, str) and library.startswith("raddiag_hf."))
