"""Recipes as text: YAML as people expect it to read, and ``key=value`` overrides."""

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from raddiag_hf.core.errors import InputError


class RecipeError(InputError):
    """A recipe that cannot be followed: which file or key, what was expected, what was found."""


class _RecipeLoader(yaml.SafeLoader):
    """YAML 1.2's idea of scalars: ``1e-5`` is a number, and ``no`` is a word; keys come once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the keys and values of a mapping as they stand in the file."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return node


_RecipeLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":bool", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_RecipeLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$|^[-+]?\.inf$|^\.nan$"),
    list("-+.0123456789"),
)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML file of keys and values.

    Raises:
        RecipeError: If it is not that.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), _RecipeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: is not YAML: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: holds {type(content).__name__}, expected keys and values")
    return content


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
            yield key, yaml.load(text, _RecipeLoader)
        except yaml.YAMLError:
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
