"""Options made from settings dataclasses."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from typer.testing import CliRunner

from raddiag_hf.cli.options import field_help, with_options
from raddiag_hf.core.settings import Setting, check_settings


class Method(StrEnum):
    FAST = "fast"
    EXACT = "exact-one"


@dataclass(frozen=True)
class Storage:
    """How to store.

    Attributes:
        bits: Of a voxel.
    """

    bits: Literal[8, 16] = 16


@dataclass(frozen=True)
class ProbeSettings:
    """How to probe.

    Attributes:
        dataset: Folder of a
            case data set, as ``raddiag dataset build`` makes it.
        method: How exactly.
        storage: How to store.
        num_epochs: The most passes.
        labels: Labels to learn.
        weights, offsets: Of labels.
        report: Write a report.
        quick: Stop early.
        secret: For experts.
        learning_rate: Peak.
        penalties: Tried in turn.

    Raises:
        InputError: If a value is out of its range.
    """

    dataset: Annotated[Path, Setting(positional=True, metavar="DIR")]
    method: Method
    storage: Storage = field(default_factory=Storage)
    num_epochs: Annotated[int, Setting("--epochs", "-e", min=1)] = 20
    labels: tuple[str, ...] = ()
    weights: tuple[float, ...] | None = None
    offsets: Annotated[float, Setting("-f")] = 0.0
    report: bool = True
    quick: bool = False
    secret: Annotated[bool, Setting(hidden=True)] = False
    learning_rate: Annotated[float | None, Setting(above=0, metavar="LR")] = None
    penalties: Annotated[tuple[float, ...], Setting(python_only=True)] = (1.0, 10.0)

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.fixture
def probe():
    """Run the verb; return what happened, and the settings and flag that it got."""
    got: list[tuple[ProbeSettings, bool]] = []
    app = typer.Typer(rich_markup_mode="markdown")

    @app.command(epilog="**Examples**")
    @with_options
    def probe(
        settings: ProbeSettings, as_json: Annotated[bool, typer.Option("--json")] = False
    ) -> None:
        """Probe a model."""
        got.append((settings, as_json))

    def run(*arguments: str):
        result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})
        return result, got[-1] if got else None

    return run


def test_defaults_are_those_of_the_dataclass(probe):
    assert probe("cases", "--method", "fast")[1] == (
        ProbeSettings(Path("cases"), Method.FAST),
        False,
    )


def test_every_field_has_an_option(probe):
    _, (settings, as_json) = probe(
        "cases", "--method", "exact-one", "--bits", "8", "-e", "3", "--labels", "a", "--labels",
        "b", "--weights", "1.5", "--offsets", "2", "--no-report", "--quick", "--secret",
        "--learning-rate", "1e-4", "--json",
    )  # fmt: skip
    assert as_json
    assert settings == ProbeSettings(
        Path("cases"),
        Method.EXACT,
        Storage(8),
        num_epochs=3,
        labels=("a", "b"),
        weights=(1.5,),
        offsets=2.0,
        report=False,
        quick=True,
        secret=True,
        learning_rate=1e-4,
    )


def test_help_comes_from_the_docstring(probe):
    text = probe("--help")[0].output
    lines = " ".join(text.replace("│", " ").split())
    assert "Folder of a case data set, as raddiag dataset build makes it. [required]" in lines
    assert "<fast|exact-one>" in text
    assert "<8|16>" in text
    assert "[default: 16]" in lines
    assert "[x>=1]" in text
    assert "--no-report" in text
    assert "--no-quick" not in text
    assert "secret" not in text
    assert "penalties" not in text
    assert "Examples" in text


@pytest.mark.parametrize("arguments", [("--epochs", "0"), ("--bits", "9"), ("--penalties", "1")])
def test_what_a_field_does_not_take_is_a_usage_error(probe, arguments):
    result, got = probe("cases", "--method", "fast", *arguments)
    assert result.exit_code == 2
    assert got is None


def test_a_field_without_a_description_is_found_at_import():
    @dataclass
    class Undescribed:
        """Nothing is said."""

        depth: int = 0

    def verb(settings: Undescribed) -> None: ...

    verb.__annotations__ = {"settings": Undescribed}
    with pytest.raises(TypeError, match=r"Undescribed\.depth: its docstring"):
        with_options(verb)


def test_descriptions_are_inherited_and_replaced():
    @dataclass(frozen=True)
    class Special(Storage):
        """How to store what is special.

        Attributes:
            level: Of compression.
        """

        level: int = 0

    assert field_help(Special) == {"bits": "Of a voxel.", "level": "Of compression."}
