"""Whether values that were read from YAML are of the types that fields of records have."""

import dataclasses
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from raddiag_hf.training.recipe_file import RecipeError


def check_types(kind: Any, content: Mapping[str, Any], section: str) -> None:
    """Check the values of a section of a recipe against the fields of a dataclass.

    A list may stand for a tuple, keys and values for a record, and a whole number for a fraction,
    but not a truth value for a number. What is in lists and keys is not looked at.

    Raises:
        RecipeError: If one is of another type.
    """
    for field in dataclasses.fields(kind):
        if field.name not in content:
            continue
        value, types = content[field.name], _types(field.type)
        if object in types or type(value) in types:
            continue
        if any(one not in (int, float) and isinstance(value, one) for one in types):
            continue
        expected = " or ".join(dict.fromkeys(map(_in_words, types)))
        raise RecipeError(f"{section}.{field.name} is {value!r}, expected {expected}")


def _types(hint: Any) -> tuple[type, ...]:
    """Return the types of values that a hint allows."""
    if get_origin(hint) in (Union, UnionType):
        return tuple(one for option in get_args(hint) for one in _types(option))
    if get_origin(hint) is Literal:
        return tuple(type(one) for one in get_args(hint))
    kind = get_origin(hint) or hint
    if kind is None:
        return (NoneType,)
    if kind is float:
        return (float, int)
    if kind is tuple:
        return (tuple, list)
    if dataclasses.is_dataclass(kind):
        return (dict,)
    return (kind,) if isinstance(kind, type) else (object,)


def _in_words(kind: type) -> str:
    if kind is NoneType:
        return "nothing"
    return "keys and values" if kind is dict else kind.__name__
