"""Recipe files: YAML 1.2, where ``1e-5`` is a number and ``no`` a word; ``key=value`` overrides."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from raddiag_hf.core.errors import InputError, one_line


class RecipeError(InputError):
    """A recipe that cannot be followed: which file or key, what was expected, what was found."""


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises:
        RecipeError: If it is not that.
    """
    try:
        content = _load(path.read_text("utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        where, what = f"{path}", one_line(error)
        if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            where, what = f"{path}, line {error.problem_mark.line + 1}", str(error.problem)
        raise RecipeError(f"{where}: is not YAML: {what}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: holds {type(content).__name__}, expected keys and values")
    return content


def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def parse_overrides(overrides: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each ``section.key=value``; values are YAML.

    Raises:
        RecipeError: If one is not of this form.
    """
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key:
            raise RecipeError(f"{override!r}: expected an override as section.key=value")
        try:
            yield key, _load(text)
        except YAMLError:
            raise RecipeError(f"{override!r}: the value is not YAML") from None


def merge(
    content: Mapping[str, Any], path: Sequence[str], value: Any, where: str
) -> dict[str, Any]:
    """Return ``content`` with the value at a path of keys replaced.

    Raises:
        RecipeError: If the path goes through something that has no keys.
    """
    first, *rest = path
    if rest:
        inner = content.get(first) or {}
        if not isinstance(inner, Mapping):
            raise RecipeError(f"{where}: {first} is {inner!r} and has no keys")
        value = merge(inner, rest, value, where)
    return {**content, first: value}


def nearest_name(name: str, known: Collection[str], prefix: str = "") -> str:
    """Return ``"; did you mean ...?"`` for a misspelt name, or the known names if few."""
    if near := difflib.get_close_matches(name, sorted(known), n=1):
        return f"; did you mean {prefix}{near[0]}?"
    return f"; expected one of {', '.join(sorted(known))}" if len(known) <= 12 else ""
