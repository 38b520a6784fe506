"""Settings dataclasses: what is refused, and in which words."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.settings import Setting, check_settings, check_value


class Shape(StrEnum):
    ROUND = "round"
    SQUARE = "square"


@dataclass(frozen=True)
class Inner:
    depth: int = 0


@dataclass(frozen=True)
class ShapeSettings:
    shape: Shape = Shape.ROUND
    count: Annotated[int, Setting(min=1)] = 1
    rate: Annotated[float | None, Setting(above=0, below=1)] = None
    share: Annotated[float, Setting(above=0, max=1)] = 1.0
    bits: Literal[8, 16] = 8
    weights: tuple[float, ...] = ()
    pair: tuple[float, int] = (0.5, 1)
    names: str | list[str] | list[None] | None = None
    is_open: bool = False
    folder: Path | None = None
    inner: Inner = Inner()
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("shape", "oval", "shape is 'oval', expected one of round, square"),
        ("count", 0, "count is 0, expected at least 1"),
        ("count", 1.5, "count is 1.5, expected int"),
        ("count", True, "count is True, expected int"),
        ("count", None, "count is None, expected int"),
        ("rate", 0, "rate is 0, expected more than 0 and less than 1"),
        ("rate", "much", "rate is 'much', expected float or nothing"),
        ("share", float("nan"), "share is nan, expected at most 1 and more than 0"),
        ("bits", 12, "bits is 12, expected one of 8, 16"),
        ("bits", 8.0, "bits is 8.0, expected one of 8, 16"),
        ("is_open", 1, "is_open is 1, expected bool"),
        ("weights", 0.5, "weights is 0.5, expected tuple"),
        ("weights", ["a", 1], r"weights\[0\] is 'a', expected float"),
        ("weights", (1, True), r"weights\[1\] is True, expected float"),
        ("pair", [1], r"pair is \[1\], expected 2 values"),
        ("pair", [1, 2.5], r"pair\[1\] is 2.5, expected int"),
        ("names", ["a", 1], r"names\[1\] is 1, expected str"),
        ("inner", 3, "inner is 3, expected keys and values"),
    ],
)
def test_a_value_of_another_type_or_out_of_range_is_refused(name, value, expected):
    with pytest.raises(InputError, match=f"^{expected}$"):
        ShapeSettings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shape", "square"),
        ("rate", None),
        ("rate", 0.5),
        ("share", 1),
        ("bits", 16),
        ("weights", [1, 2.5]),
        ("pair", [0.5, 2]),
        ("names", ["a"]),
        ("names", "a"),
        ("folder", "here"),
        ("inner", {"depth": 1}),
        ("scale", float("inf")),
    ],
)
def test_what_stands_for_a_value_is_taken(name, value):
    assert getattr(ShapeSettings(**{name: value}), name) == value


def test_any_value_is_taken_where_the_type_says_nothing():
    check_value("options", object(), Any)
    with pytest.raises(InputError, match="options"):
        check_value("options", object(), int)


def test_the_error_is_of_the_kind_that_is_asked_for():
    class ShapeError(InputError):
        pass

    with pytest.raises(ShapeError):
        check_value("count", 0, int, Setting(min=1), ShapeError)
