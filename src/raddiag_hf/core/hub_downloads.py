"""Downloads from the Hub, compared with the hash that it states."""

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import file_fingerprint, file_state

_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")


def check_download(path: Path, repo_id: str, raises: type[InputError]) -> Path:
    """Return a file of the Hub's cache, or drop it there if it is not what the Hub states.

    The cache names content by that hash: SHA-256 of large files, that of git for others. Hashes of
    other kinds, and files of a system without links, pass.

    Args:
        path: What ``hf_hub_download`` returned, or a file of ``snapshot_download``.
        repo_id: For the message.
        raises: Type of the error.

    Raises:
        InputError: As ``raises``.
    """
    if not path.is_symlink():
        return path
    blob = Path(os.path.normpath(path.parent / path.readlink()))
    if not _is_as_stated(blob, file_state(blob)):
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)
        raise raises(
            f"{repo_id}: {path.name} is not what the Hub says it is (its hash differs): it was "
            "damaged on the way or in the cache, and is dropped; give the same command again"
        )
    return path


@lru_cache(maxsize=1024)  # one process loads a model many times
def _is_as_stated(blob: Path, state: tuple[int, int]) -> bool:
    if _SHA256.fullmatch(blob.name):
        return file_fingerprint(blob) == blob.name
    if _SHA1.fullmatch(blob.name):
        content = blob.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        plain = hashlib.sha1(content, usedforsecurity=False)  # some mirrors state this one
        return blob.name in (git.hexdigest(), plain.hexdigest())
    return True
