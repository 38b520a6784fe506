"""Format version of a file that the package writes and reads back."""

from typing import Any

from raddiag_hf.core.errors import InputError


class FileFormatError(InputError):
    """A file of a format that this version of the package does not read."""


def check_format(found: Any, newest: int) -> None:
    """Refuse a file that a newer version of the package wrote.

    A version rises when those who know the earlier one would misread the file; a reader knows all
    versions up to its newest.

    Args:
        found: What the file has under ``format``; 1 for files from before it was written.
        newest: The highest version that the caller reads.

    Raises:
        FileFormatError: If the version is higher, or no version.
    """
    if type(found) is not int or found < 1:
        raise FileFormatError(f"format is {found!r}, expected a number from 1 to {newest}")
    if found > newest:
        raise FileFormatError(
            f"format is {found}, but this version of raddiag-hf reads formats up to {newest}: "
            "install a newer one"
        )
