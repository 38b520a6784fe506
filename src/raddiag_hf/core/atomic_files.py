"""Files that are either whole or absent, whatever happens while they are written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the same folder, and rename it to ``path`` once it is written.

    If the block raises, the temporary file is removed and whatever was at ``path`` stays. A killed
    process leaves at most a hidden ``.<name>.<process id>.tmp`` beside ``path``.

    Example:
        >>> with atomic_write(folder / "labels.json") as temporary:
        ...     temporary.write_text("{}")
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
