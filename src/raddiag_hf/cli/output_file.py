"""Whether the file that `--output` names can be written, asked before the work and not after."""

import tempfile
from pathlib import Path

from raddiag_hf.cli.scan_arguments import ArgumentError


def check_output_file(output: Path) -> None:
    """Refuse a file that cannot be written; an existing file will be replaced.

    Raises:
        ArgumentError: If it is a folder or a device, or its folder is not there or cannot be
            written.
    """
    if output.is_dir():
        raise ArgumentError(f"--output {output}: is a folder, expected the name of a file")
    if output.exists() and not output.is_file():
        raise ArgumentError(f"--output {output}: is not a regular file")
    if not output.parent.is_dir():
        raise ArgumentError(f"--output {output}: there is no folder {output.parent}")
    check_writable(output.parent, f"--output {output}")


def check_writable(folder: Path, argument: str) -> None:
    """Refuse a folder that takes no new files; permissions alone do not tell.

    Raises:
        ArgumentError: Beginning with ``argument``.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ArgumentError(f"{argument}: {folder} cannot be written: {error.strerror}") from None
