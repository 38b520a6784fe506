"""Recipe files: YAML 1.2, where ``1e-5`` is a number and ``no`` a word; ``key=value`` overrides."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from raddiag_hf.core.errors import InputError, one_line

TOKEN_KEYS = ("token", "hub_token", "push_to_hub_token", "use_auth_token", "api_key", "password")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")
_NO_TOKEN = (
    "a recipe holds no token, because it is shown and stored; sign in with `hf auth login`, or set "
    "HF_TOKEN"
)


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
            shown = _TOKEN.sub("...", override)
            raise RecipeError(f"{shown!r}: expected an override as section.key=value")
        try:
            yield key, _load(text)
        except YAMLError:
            raise RecipeError(f"{key}: the value is not YAML") from None


def check_for_tokens(content: Any, where: str = "") -> None:
    """Refuse secrets, which a recipe would show, store with the run and hand to every process.

    Raises:
        RecipeError: Naming the key, not what it holds.
    """
    if isinstance(content, (Mapping, list, tuple)):
        pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in pairs:
            name = f"{where}.{key}" if where else str(key)
            if key in TOKEN_KEYS and value is not None:
                raise RecipeError(f"{name}: {_NO_TOKEN}")
            check_for_tokens(value, name)
    elif isinstance(content, str) and _TOKEN.search(content):
        raise RecipeError(f"{where}: {_NO_TOKEN}")


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
