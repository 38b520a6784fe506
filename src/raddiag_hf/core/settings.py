"""Settings dataclasses: declared once, for Python, for recipes and for the command line.

A settings module imports no torch: the command line reads it to show its help.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from raddiag_hf.core.errors import InputError


@dataclasses.dataclass(frozen=True, init=False)
class Setting:
    """What the type of a settings field cannot say, as metadata of `Annotated`.

    Attributes:
        names: Names on the command line, such as ``-o``, ``--epochs`` or ``--report/--no-report``.
            The field's name is the long one where none is given.
        min, max: Least and greatest value.
        above, below: Bounds that are themselves refused.
        metavar: What stands for the value in help, such as ``DIR``.
        positional: Whether the command line takes it as an argument, not as an option.
        hidden: Whether help leaves it out.
        python_only: Whether the command line does not offer it.
    """

    names: tuple[str, ...]
    min: float | None
    max: float | None
    above: float | None
    below: float | None
    metavar: str | None
    positional: bool
    hidden: bool
    python_only: bool

    def __init__(
        self,
        *names: str,
        min: float | None = None,
        max: float | None = None,
        above: float | None = None,
        below: float | None = None,
        metavar: str | None = None,
        positional: bool = False,
        hidden: bool = False,
        python_only: bool = False,
    ) -> None:
        for name, value in locals().copy().items():
            if name != "self":
                object.__setattr__(self, name, value)

    def allows(self, value: float) -> bool:
        """Whether a number is finite and in the range; any number where there is no range."""
        if not self._bounds():
            return True
        return (
            math.isfinite(value)
            and (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def expected(self) -> str:
        """Return the range in words."""
        return " and ".join(self._bounds())

    def _bounds(self) -> list[str]:
        words = {"at least": self.min, "at most": self.max}
        words |= {"more than": self.above, "less than": self.below}
        return [f"{word} {bound:g}" for word, bound in words.items() if bound is not None]


def setting_fields(kind: type) -> Iterator[tuple[dataclasses.Field[Any], Any, Setting]]:
    """Yield field, type and `Setting` of what the constructor of a settings dataclass takes."""
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if field.init:
            yield field, *split_hint(hints[field.name])


def split_hint(hint: Any) -> tuple[Any, Setting]:
    """Return the type of an annotation and its `Setting`, an empty one where it has none."""
    if get_origin(hint) is not Annotated:
        return hint, Setting()
    kind, *metadata = get_args(hint)
    return kind, next((one for one in metadata if isinstance(one, Setting)), Setting())


def check_settings(settings: Any, error: type[InputError] = InputError) -> None:
    """Check type and range of every field; for the `__post_init__` of a settings dataclass.

    Raises:
        InputError: As ``error``, if one is of another type or out of its range.
    """
    for field, kind, setting in setting_fields(type(settings)):
        check_value(field.name, getattr(settings, field.name), kind, setting, error)


def check_value(
    name: str,
    value: Any,
    kind: Any,
    setting: Setting | None = None,
    error: type[InputError] = InputError,
) -> None:
    """Check a value against the type of a field and its range.

    A list may stand for a tuple, text for a member of an enum or a path, keys and values for a
    record, and a whole number for a fraction, but not a truth value for a number. Items of lists
    and tuples are checked too, values of keys are not.

    Args:
        name: Of the field, for the message.
        value: What it was given.
        kind: A type annotation.
        setting: Its range.
        error: What to raise.

    Raises:
        InputError: As ``error``.
    """
    options = _options(kind)
    if not any(_matches(value, option) for option in options):
        expected = " or ".join(dict.fromkeys(map(_in_words, options)))
        raise error(f"{name} is {_plain(value)!r}, expected {expected}")
    if isinstance(value, (list, tuple)):
        _check_items(name, value, [one for one in options if _matches(value, one)], error)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if setting is not None and is_number and not setting.allows(value):
        raise error(f"{name} is {value!r}, expected {setting.expected()}")


def _check_items(
    name: str, values: Sequence[Any], kinds: Sequence[Any], error: type[InputError]
) -> None:
    """Check the items of a list or tuple against the kinds of sequence that it may be.

    Raises:
        InputError: As ``error``, by the first of the kinds, if the items suit none of them.
    """
    refusal: InputError | None = None
    for kind in kinds:
        of_items = get_args(kind)
        if not of_items:
            return
        is_fixed = get_origin(kind) is tuple and of_items[-1] is not Ellipsis
        try:
            if is_fixed and len(of_items) != len(values):
                raise error(f"{name} is {list(values)!r}, expected {len(of_items)} values")
            for number, item in enumerate(values):
                of_item = of_items[number if is_fixed else 0]
                check_value(f"{name}[{number}]", item, of_item, error=error)
        except error as found:
            refusal = refusal or found
        else:
            return
    if refusal is not None:
        raise refusal


def _options(kind: Any) -> list[Any]:
    """Return what a hint allows: types, and the values of a `Literal` in one."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [option for one in get_args(kind) for option in _options(one)]
    return [NoneType if kind is None else kind]


def _matches(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(kind))
    kind = get_origin(kind) or kind
    if kind is Any or not isinstance(kind, type):
        return True
    if isinstance(value, bool) and kind in (int, float):
        return False
    if issubclass(kind, Enum):
        return isinstance(value, kind) or value in [one.value for one in kind]
    if dataclasses.is_dataclass(kind):
        return isinstance(value, (kind, dict))
    return isinstance(value, {float: (float, int), tuple: (tuple, list), Path: (Path, str)}.get(
        kind, kind
    ))  # fmt: skip


def _in_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    kind = get_origin(kind) or kind
    if kind is NoneType:
        return "nothing"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(str(one.value) for one in kind)
    if dataclasses.is_dataclass(kind) or kind is dict:
        return "keys and values"
    return str(getattr(kind, "__name__", kind))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
