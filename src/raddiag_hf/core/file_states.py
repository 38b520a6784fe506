"""Whether files are the same as before, told without reading them."""

import os
from pathlib import Path


def file_state(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and time of change in nanoseconds; -1 and -1 without a file."""
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
