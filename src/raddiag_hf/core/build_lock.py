"""One run at a time for each data set that is being made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from raddiag_hf.core.input_error import InputError

LOCK_FILE = "lock"
PATIENCE_S = 3.0
"""For the workers of a killed run, which hold its lock until they notice that it is gone."""


class BuildRunningError(InputError):
    """Another run is making the same data set."""


@contextmanager
def sole_build(output: Path, staging: Path) -> Iterator[None]:
    """Keep other runs, of this machine or of others that share the disk, from the same data set.

    A run that ends, even killed, lets go of it.

    Args:
        output: The data set, for the message.
        staging: The folder in which it is made, and which may be removed afterwards; made if it
            is not there.

    Raises:
        BuildRunningError: If another run is at work there.
    """
    staging.mkdir(parents=True, exist_ok=True)
    lock = FileLock(staging / LOCK_FILE)
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        raise BuildRunningError(
            f"{output}: another run is making it; wait for its end, or choose another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()
