"""Files that are either whole or absent, whatever happens while they are written."""

import os
import secrets
import shutil
import tempfile
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
    process leaves at most a hidden ``.<name>.<random>.tmp`` beside ``path``; nobody can have put a
    link in its place.

    Example:
        >>> with atomic_write("labels.json") as temporary:
        ...     temporary.write_text("{}")
        2
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replaced_files(folder: Path | str) -> Iterator[Path]:
    """Give an empty folder, and move its files over those of ``folder`` once all are written.

    Each file is replaced at once or not at all; other files stay. If the block raises, nothing is
    replaced. A killed process leaves at most a hidden ``.saving-*`` in ``folder``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
        yield Path(temporary)
        written = [path for path in Path(temporary).rglob("*") if path.is_file()]
        # Weights first: a configuration that came first could promise more than there is.
        for path in sorted(written, key=lambda path: (path.suffix == ".json", path)):
            target = folder / path.relative_to(temporary)
            target.parent.mkdir(exist_ok=True)
            path.chmod(0o644)  # safetensors keeps its files to their owner
            path.replace(target)


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
