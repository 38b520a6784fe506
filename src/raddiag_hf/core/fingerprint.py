"""Short names for content, equal where the content is: of values, files, weights."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def fingerprint(*content: Any) -> str:
    """Return a SHA-256 of values, in hexadecimal.

    Args:
        content: What JSON can hold (keys of mappings in any order), or bytes.

    Raises:
        TypeError: If a value is neither.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    digest = hashlib.sha256()
    for one in content:
        data = one if isinstance(one, bytes) else json.dumps(one, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


def file_fingerprint(path: Path) -> str:
    """Return a SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_state(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and time of change in nanoseconds; -1 and -1 without a file.

    Equal states stand for equal content without reading it.
    """
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def folder_state(folder: Path) -> bytes:
    """Return what changes with a folder's place, or with the name or state of any file below."""
    states = []
    for parent, folders, names in os.walk(folder.resolve()):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            states.append(f"{path} {file_state(path)}")
    return "\0".join([str(folder.resolve()), *states]).encode(errors="surrogateescape")


def weights_fingerprint(
    weights: Mapping[str, "Tensor"], prefix: bytes = b"", header_end: bytes = b""
) -> str:
    """Return a SHA-256 of ``prefix`` and of weights, in hexadecimal; their devices do not count.

    Args:
        weights: Parameters and buffers by name; names, types, shapes and values count.
        prefix: What else makes a difference.
        header_end: Bytes between the header of a tensor and its values.
    """
    import torch

    digest = hashlib.sha256(prefix)
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + header_end)
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(content.numpy().data)
    return digest.hexdigest()
