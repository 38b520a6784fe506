"""Temporary folders whose names may tell of people: gone at the end, or at the next start."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "raddiag-"
LOCK_FILE, CONTENT = "lock", "content"
SETTLING_S = 60.0
"""A folder this young may be about to be locked."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give an empty folder that only this user can open, and remove it afterwards.

    A process that is killed leaves it; `remove_left_behind` knows such a folder by its lock.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX) as outer, FileLock(Path(outer, LOCK_FILE)):
        content = Path(outer, CONTENT)
        content.mkdir()
        yield content


def remove_left_behind() -> int:
    """Remove temporary folders of this user whose processes are gone; return how many.

    Folders that are in use, of other users, or that cannot be removed stay.
    """
    removed = 0
    for outer in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            if outer.is_symlink() or time.time() - outer.stat().st_mtime < SETTLING_S:
                continue
            if not {path.name for path in outer.iterdir()} <= {LOCK_FILE, CONTENT}:
                continue  # not one of ours
            with FileLock(outer / LOCK_FILE, timeout=0):
                shutil.rmtree(outer / CONTENT, ignore_errors=True)
            shutil.rmtree(outer)
            removed += 1
    return removed
