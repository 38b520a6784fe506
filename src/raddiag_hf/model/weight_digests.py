"""Digests of saved weights, beside them, so that a damaged file is told from a good one."""

import hashlib
import json
from pathlib import Path

DIGEST_FILE = "weights_digest.json"
DIGEST_FORMAT = 1
WEIGHTS = ("model*.safetensors", "adapter_model*.safetensors")


def write_weight_digests(folder: Path) -> None:
    """Write ``weights_digest.json``: the SHA-256 of every file of weights in a model's folder.

    It is the hash that the Hub states of large files, and ``sha256sum`` prints.
    """
    digests = {path.name: _digest(path) for path in _weight_files(folder)}
    text = json.dumps({"format": DIGEST_FORMAT, "sha256": digests}, indent=1) + "\n"
    (folder / DIGEST_FILE).write_text(text, "utf-8")


def find_damaged_weights(folder: Path) -> str | None:
    """Return what is wrong with saved weights, or None if they are as they were written.

    Folders without digests pass: those of earlier versions, and of other tools.
    """
    path = folder / DIGEST_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text("utf-8"))
        digests = dict(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{DIGEST_FILE} is damaged"
    if content.get("format") != DIGEST_FORMAT:
        return None  # of a newer version, whose digests this one does not know
    found = {path.name: path for path in _weight_files(folder)}
    if absent := sorted(digests.keys() - found.keys()):
        return f"{absent[0]} is missing"
    for name, file in found.items():
        if _digest(file) != digests.get(name):
            return (
                f"{name} is not what was written: it is damaged, or was changed since; get it "
                f"again, or remove {DIGEST_FILE} if the change was meant"
            )
    return None


def _weight_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
