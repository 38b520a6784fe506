"""The files by which ``sentence-transformers`` knows how an encoder pools."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

Pooling = Literal["cls", "mean"]

_MODULES_FILE, _TRANSFORMER_FILE = "modules.json", "sentence_bert_config.json"
_POOLING_FILE = "1_Pooling/config.json"
_POOLING_FLAGS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}


@dataclass(frozen=True)
class SentenceTransformersFiles:
    """What the files beside an encoder say; None where they say nothing.

    Attributes:
        pooling: How token embeddings become one.
        max_length: Tokens after which a text is cut.
    """

    pooling: Pooling | None = None
    max_length: int | None = None

    def write(self, folder: Path, width: int) -> None:
        """Write the files beside an encoder with embeddings of ``width``."""
        modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        contents: dict[str, Any] = {
            _MODULES_FILE: [
                {
                    "idx": index,
                    "name": str(index),
                    "path": path,
                    "type": f"sentence_transformers.models.{kind}",
                }
                for index, (path, kind) in enumerate(modules)
            ],
            _POOLING_FILE: {"word_embedding_dimension": width}
            | {flag: self.pooling == mode for mode, flag in _POOLING_FLAGS.items()},
            _TRANSFORMER_FILE: {"max_seq_length": self.max_length, "do_lower_case": False},
        }
        for file, content in contents.items():
            path = folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def read_sentence_transformers_files(
    source: str, revision: str | None = None, token: str | None = None
) -> SentenceTransformersFiles:
    """Read the files of a folder or of a repository on the Hub.

    Raises:
        ValueError: If they describe steps or poolings that `TextEncoder` does not have.
        OSError: If the repository cannot be had.
    """
    modules, pooling, transformer = (
        _read_json(source, file, revision, token)
        for file in (_MODULES_FILE, _POOLING_FILE, _TRANSFORMER_FILE)
    )
    _check_modules(modules)
    return SentenceTransformersFiles(_pooling(pooling), (transformer or {}).get("max_seq_length"))


def _read_json(source: str, file: str, revision: str | None, token: str | None) -> Any:
    """Return the content of a file of the model; None where there is none."""
    path: str | Path = Path(source) / file
    if Path(source).is_dir():
        if not Path(path).is_file():
            return None
    else:
        try:
            path = hf_hub_download(source, file, revision=revision, token=token)
        except (LocalEntryNotFoundError, OfflineModeIsEnabled):
            known = try_to_load_from_cache(source, file, revision=revision)
            if known is None:
                raise OSError(
                    "the Hub cannot be reached, and its cache does not hold all files"
                ) from None
            return None  # the cache remembers that there is no such file
        except EntryNotFoundError:
            return None
        except HfHubHTTPError as error:
            raise OSError(error.server_message or str(error)) from None
        except HFValidationError as error:
            raise OSError(f"is not a Hub id: {error}") from None
    return json.loads(Path(path).read_text("utf-8"))


def _check_modules(modules: Sequence[Mapping[str, Any]] | None) -> None:
    kinds = {str(module["type"]).rpartition(".")[2] for module in modules or ()}
    if unknown := sorted(kinds - {"Transformer", "Pooling", "Normalize"}):
        raise ValueError(f"{_MODULES_FILE} has steps other than pooling: {unknown}")


def _pooling(config: Mapping[str, Any] | None) -> Pooling | None:
    if config is None:
        return None
    # Releases of sentence-transformers write one name, or a flag for each mode.
    named = config.get("pooling_mode")
    flags = [key for key, is_on in config.items() if key.startswith("pooling_mode_") and is_on]
    modes = [named] if named else [m for m, flag in _POOLING_FLAGS.items() if flag in flags]
    if len(modes) != 1 or modes[0] not in _POOLING_FLAGS or len(flags) > 1:
        raise ValueError(
            f"{_POOLING_FILE} pools by {named or flags}, expected one of {sorted(_POOLING_FLAGS)}"
        )
    return cast(Pooling, modes[0])
