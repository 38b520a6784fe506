"""Files that are either whole or absent, whatever happens while they are written."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from raddiag_hf.core.errors import InputError, one_line

FAILED_WRITE_SIGNS = ("(os error ", "No space left", "inline_container", "PytorchStreamWriter")
"""Parts of the messages of safetensors and of ``torch.save``, which raise no `OSError`."""


class StorageError(InputError):
    """A folder that takes no more: which, why, and how much is free."""


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the same folder, and rename it to ``path`` once it is written.

    If the block raises, the temporary file is removed and whatever was at ``path`` stays. A killed
    process leaves at most a hidden ``.<name>.<process id>.tmp`` beside ``path``.

    Example:
        >>> with atomic_write("labels.json") as temporary:
        ...     temporary.write_text("{}")
        2
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def named_storage_failure(folder: Path) -> Iterator[None]:
    """Turn what safetensors and PyTorch say of a failed write into an error that names the folder.

    Raises:
        StorageError: If the block could not write.
    """
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        if not any(sign in str(error) for sign in FAILED_WRITE_SIGNS):
            raise
        free = shutil.disk_usage(
            next(one for one in (folder, *folder.parents) if one.exists())
        ).free
        raise StorageError(
            f"{folder}: cannot be written, is the disk full? {free / 1e9:.1f} GB are free "
            f"({one_line(error, 300)})"
        ) from error
