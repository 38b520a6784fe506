"""JSON files of foreign folders: read, or refused in one line, whatever they hold."""

import json
from pathlib import Path
from typing import Any

from raddiag_hf.core.errors import InputError, one_line

MOST_BYTES = 256 * 2**20
"""A configuration with a million label names takes a fifth of it."""
DEEPEST = 100
"""Levels of nesting; configurations have five."""


class JsonFileError(InputError):
    """A file that is not JSON as we read it: which, and why."""


def read_json(path: Path) -> Any:
    """Read a JSON file, refusing one that is too large or nested too deep.

    Raises:
        JsonFileError: If it cannot be read, or is no JSON of ours.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise JsonFileError(f"{path}: has {size:,} bytes, expected at most {MOST_BYTES:,}")
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise JsonFileError(f"{path}: {error.strerror or one_line(error)}") from None
    except RecursionError:
        raise JsonFileError(f"{path}: is nested deeper than {DEEPEST} levels") from None
    except ValueError as error:
        if isinstance(error, JsonFileError):
            raise
        raise JsonFileError(f"{path}: is not JSON: {one_line(error)}") from None
    if _is_deeper(content, DEEPEST):
        raise JsonFileError(f"{path}: is nested deeper than {DEEPEST} levels")
    return content


def _is_deeper(content: Any, levels: int) -> bool:
    """Tell whether a value is nested deeper, without recursion."""
    layer = [content]
    for _ in range(levels):
        nested = [one for one in layer if isinstance(one, (dict, list))]
        if not nested:
            return False
        layer = [
            value for one in nested for value in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, (dict, list)) for one in layer)
