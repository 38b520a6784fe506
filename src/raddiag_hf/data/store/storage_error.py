"""The error for cases that cannot be stored or read back, where what is given is at fault."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyarrow import ArrowException

from raddiag_hf.core.errors import InputError


class CaseStorageError(InputError):
    """Cases that make no data set: all were rejected, one is too large, or a shard is damaged."""


@contextmanager
def named_damage(path: str) -> Iterator[None]:
    """Turn what Arrow says of a damaged file, which does not name it, into an error that does.

    Raises:
        CaseStorageError: If the file that the block reads is damaged.
    """
    try:
        yield
    except (ArrowException, OSError) as error:
        # Of Arrow's errors some are bare OSErrors; those of the system and the Hub are not.
        if isinstance(error, OSError) and (type(error) is not OSError or error.errno is not None):
            raise
        raise CaseStorageError(f"{path}: is damaged: {error}") from error
