"""Options of the command line, made from settings dataclasses.

To convert a verb, declare its settings once, in a module of the API that imports no torch:

    @dataclass(frozen=True)
    class ProbeSettings:
        '''How to probe.

        Attributes:
            dataset: Folder of a case data set.
            num_epochs: The most passes over the training cases.
            penalties: Tried one after the other.
        '''

        dataset: Annotated[Path, Setting(positional=True, metavar="DIR")]
        num_epochs: Annotated[int, Setting("--epochs", "-e", min=1)] = 20
        penalties: Annotated[tuple[float, ...], Setting(python_only=True)] = (1.0, 10.0)

        def __post_init__(self) -> None:
            check_settings(self)

and take them as one parameter of the verb, beside what only the command line has:

    @with_options
    def probe(settings: ProbeSettings, output: OutputOption, as_json: JsonOption = False) -> None:
        '''Probe a model.'''

The verb is registered in `raddiag_hf.cli.main` like any other. It gets `raddiag probe DIR --epochs
N`: help is what the docstring says of the field, without default where it is None or False; choices
come from enums and `Literal`; a field that is a settings dataclass itself gives its own options; a
truth value that is False by default is a flag; one that is True, or may be None, is a flag and its
``--no-`` form.
What is required comes first.
"""  # noqa: D214

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints

import typer

from raddiag_hf.core.settings import Setting, setting_fields

Result = TypeVar("Result")

LocationArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Folder, Hub id or builder of a case data set.",
        show_default=False,
    ),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="For builders: what was downloaded from the publisher."),
]


def with_options(verb: Callable[..., Result]) -> Callable[..., Result]:
    """Replace each parameter of a verb that is a settings dataclass by options for its fields.

    Raises:
        TypeError: If the docstring of a dataclass says nothing of a field.
        ValueError: If two options have the same name.
    """
    hints = get_type_hints(verb, include_extras=True)
    records = {name: kind for name, kind in hints.items() if _is_record(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name in records:
            parameters += _parameters(records[name])
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
            )

    @functools.wraps(verb)
    def with_settings(**values: Any) -> Result:
        settings = {name: _gather(kind, values) for name, kind in records.items()}
        return verb(**settings, **values)

    parameters.sort(key=lambda one: one.default is not inspect.Parameter.empty)
    with_settings.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_settings.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_settings


def field_help(kind: type) -> dict[str, str]:
    """Return what the "Attributes:" section of a dataclass, and of its bases, says of each field.

    Example:
        >>> from raddiag_hf.core.settings import Setting
        >>> field_help(Setting)["max"]
        'Least and greatest value.'
    """
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        section = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")[2]
        section = re.split(r"\n(?=\S)", section)[0]
        for names, text in re.findall(r"^    (\w[\w, ]*): (.+(?:\n {5,}.+)*)", section, re.M):
            text = " ".join(text.split()).replace("``", "`")
            texts |= dict.fromkeys(names.split(", "), text)
    return texts


def _parameters(kind: type) -> Iterator[inspect.Parameter]:
    """Yield a parameter for typer for each field that the command line offers."""
    texts = field_help(kind)
    for field, hint, setting in setting_fields(kind):
        if setting.python_only:
            continue
        if _is_record(hint):
            yield from _parameters(hint)
            continue
        if field.name not in texts:
            raise TypeError(f"{kind.__name__}.{field.name}: its docstring does not describe it")
        hint = _as_list(hint)
        default = _default(field)
        info = _info(field.name, hint, default, setting, texts[field.name])
        yield inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[hint, info],
        )


def _info(name: str, hint: Any, default: Any, setting: Setting, text: str) -> Any:
    """Return the option, or the argument, that typer makes of a field."""
    shared: dict[str, Any] = {
        "help": text,
        "metavar": setting.metavar,
        "min": setting.min,
        "max": setting.max,
        "hidden": setting.hidden,
    }
    if setting.positional:
        return typer.Argument(show_default=False, **shared)
    names = list(setting.names)
    if not any(one.startswith("--") for one in names):
        dashed = name.replace("_", "-")
        is_pair = hint == bool | None or (hint is bool and default is True)
        names.insert(0, f"--{dashed}/--no-{dashed}" if is_pair else f"--{dashed}")
    return typer.Option(*names, **shared)


def _is_record(hint: Any) -> TypeGuard[type]:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = field.default
    else:
        return inspect.Parameter.empty
    return list(value) if isinstance(value, tuple) else value


def _as_list(hint: Any) -> Any:
    """Return a hint with lists for tuples of any length, which typer does not know."""
    if get_origin(hint) in (Union, UnionType):
        return Union[tuple(_as_list(one) for one in get_args(hint))]  # noqa: UP007
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        return list[get_args(hint)[0]]  # type: ignore[misc]
    return hint


def _gather(kind: Any, values: dict[str, Any]) -> Any:
    """Take the fields of a dataclass out of the values of a command line, and make one of it."""
    given = {}
    for field, hint, setting in setting_fields(kind):
        if setting.python_only:
            continue
        if _is_record(hint):
            given[field.name] = _gather(hint, values)
        else:
            value = values.pop(field.name)
            is_list = isinstance(value, list) and _as_list(hint) != hint
            given[field.name] = tuple(value) if is_list else value
    return kind(**given)
