"""The errors for a published data set that is not as described, and for a script of a user's."""

from pathlib import Path

from raddiag_hf.core.errors import InputError


class BuilderScriptError(InputError):
    """A builder's script that Python cannot import: which, and why."""


class DataSourceError(InputError):
    """A file or folder of a published data set that is not as expected.

    Attributes:
        path: The file or folder at fault.
        field: The column, key or count at fault; empty where it is the file itself.
        expected: What should be there.
        found: What is there; no patient data.
    """

    def __init__(self, path: Path | str, field: str, expected: str, found: str) -> None:
        self.path, self.field = Path(path), field
        self.expected, self.found = expected, found
        where = f"{path}: {field}" if field else str(path)
        super().__init__(f"{where}: expected {expected}, found {found}")

    def __reduce__(self) -> tuple[type["DataSourceError"], tuple[str, str, str, str]]:
        """Let worker processes hand the error to their parent whole."""
        return type(self), (str(self.path), self.field, self.expected, self.found)
