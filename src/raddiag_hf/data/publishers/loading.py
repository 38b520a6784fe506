"""Load a case data set: by the name of a builder, from a folder, or from the Hub."""

import dataclasses
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.fingerprint import fingerprint, folder_state
from raddiag_hf.core.hub_errors import clean_token, explained_access
from raddiag_hf.core.settings import check_value, setting_fields
from raddiag_hf.data.publishers.builder import CaseBuilder
from raddiag_hf.data.publishers.source import DataSourceError
from raddiag_hf.data.store.case_store import DATA_FOLDER


def scripts_folder() -> Path:
    """Return where the builders lie: one folder per data set, ``<name>/<name>.py``."""
    return Path(str(files("raddiag_hf.dataset_scripts")))


class BuilderScriptError(InputError):
    """A builder's script that Python cannot import: which, and why."""


class BuilderOptionError(InputError):
    """An option that a builder does not have, or a value that it does not take: which, and why."""


def builder_names() -> list[str]:
    """Return the names that `load_builder` knows."""
    return sorted(
        path.stem for path in scripts_folder().glob("*/*.py") if path.stem == path.parent.name
    )


def is_builder(path: str | Path) -> bool:
    """Tell whether `load_dataset` would build cases: a written folder of that name goes before.

    Raises:
        FileNotFoundError: If it is a script that is not there.
    """
    if Path(path).is_dir() and (
        str(path) not in builder_names() or any(Path(path).glob(f"{DATA_FOLDER}/*.parquet"))
    ):
        return False
    return _find_script(path) is not None


def load_builder(
    builder: str | Path,
    name: str | None = None,
    *,
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    **options: Any,
) -> CaseBuilder:
    """Return the builder of a data set in its publisher's own layout.

    Args:
        builder: One of `builder_names`, or the path of a script that defines one `CaseBuilder`.
        name: Configuration; the builder's default if None.
        data_dir: The folder that was downloaded from the publisher.
        cache_dir: Where built data sets are kept; the cache of `datasets` if None.
        **options: Fields of the builder's configuration, such as ``strict=False``.

    Raises:
        FileNotFoundError: If there is no such script.
        BuilderScriptError: If Python cannot import the script.
        BuilderOptionError: If it has no such option, or the value is of another type or out of its
            range.
        ValueError: If the script does not define one builder, or it has no such configuration.
        DataSourceError: If the data are not as the publisher describes them.
    """
    script, kind = _find_class(builder)
    check_options(builder, options)
    return kind(
        cache_dir=None if cache_dir is None else str(cache_dir),
        config_name=name,
        hash=_hash(script, None if data_dir is None else Path(data_dir)),
        data_dir=None if data_dir is None else str(Path(data_dir).absolute()),
        **options,
    )


def check_options(builder: str | Path, options: Mapping[str, Any], section: str = "") -> None:
    """Check the options of a builder by its configuration, without building anything.

    Args:
        builder: As `load_builder` takes it.
        options: Fields of the builder's configuration.
        section: What stands before their names where the user wrote them, such as
            ``data.options.``.

    Raises:
        BuilderOptionError: If there is no such option, or the value is of another type or out of
            its range.
        FileNotFoundError, BuilderScriptError, ValueError: As `load_builder`.
    """
    script, kind = _find_class(builder)
    known = {field.name: given for field, *given in setting_fields(kind.BUILDER_CONFIG_CLASS)}
    for name in ("name", "data_dir"):  # arguments of their own
        known.pop(name, None)
    for option, value in options.items():
        if option not in known:
            where = f"{section}{option}: " if section else ""
            raise BuilderOptionError(
                f"{where}{script.stem} has no option {option!r}; options: "
                f"{', '.join(sorted(known))}"
            )
        hint, setting = known[option]
        check_value(f"{section}{option}", value, hint, setting, BuilderOptionError)
        if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
            raise BuilderOptionError(f"{section}{option}: can be given in Python only")


def _find_class(builder: str | Path) -> tuple[Path, type[CaseBuilder]]:
    """Return a builder's script and its class."""
    script = _find_script(builder)
    if script is None:
        names = ", ".join(builder_names())
        raise FileNotFoundError(f"{builder}: no such script; builders by name: {names}")
    module = _import(script)
    classes = [
        found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, CaseBuilder) and found.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise ValueError(f"{script}: defines {len(classes)} case builders, expected one")
    return script, classes[0]


def load_dataset(
    path: str | Path,
    name: str | None = None,
    *,
    data_dir: str | Path | None = None,
    split: str | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | Path | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    **options: Any,
) -> (
    datasets.Dataset
    | datasets.DatasetDict
    | datasets.IterableDataset
    | datasets.IterableDatasetDict
):
    """Load cases, whichever way they are stored.

    Args:
        path: The name of a builder (``"pocus"``) or the path of a builder's script, with
            ``data_dir``; a folder that was written as Parquet, which goes before a builder of the
            same name; or a data set on the Hub, ``"<namespace>/<name>"``.
        name: Configuration.
        data_dir: For builders: the folder that was downloaded from the publisher.
        split: ``"train"``, ``"validation"``, ``"test"`` or a slice such as ``"train[:10%]"``; all
            splits if None.
        streaming: Whether to read cases as they are asked for, without preparing anything.
        num_proc: Processes that build or download.
        cache_dir: Where prepared data sets are kept; the cache of `datasets` if None.
        revision: For the Hub: branch, tag or commit.
        token: For the Hub: access token; the stored one if None.
        **options: For builders: fields of the configuration, such as ``strict=False``.

    Returns:
        The rows of `case_features`; all splits in a dictionary if ``split`` is None.

    Raises:
        HubAccessError: If the Hub refuses; the message says how to get access.
        DataSourceError: If the files of a builder are not as the publisher describes them; found by
            a worker process, it is a ValueError with the same message.
        ValueError: If there is no such configuration, option or split.

    Example:
        >>> cases = load_dataset("phantoms", split="test", num_train=0, num_validation=0)
    """
    if not is_builder(path):
        if options:
            raise ValueError(f"{path}: is no builder, so it has no option {sorted(options)[0]!r}")
        if Path(path).is_dir():
            cache_dir = _folder_cache(Path(path), cache_dir)
        with explained_access(str(path)):
            return datasets.load_dataset(
                str(path),
                name,
                data_dir=None if data_dir is None else str(data_dir),
                split=split,
                streaming=streaming,
                num_proc=num_proc,
                cache_dir=None if cache_dir is None else str(cache_dir),
                revision=revision,
                token=clean_token(str(path), token) if isinstance(token, str) else token,
            )
    builder = load_builder(path, name, data_dir=data_dir, cache_dir=cache_dir, **options)
    if streaming:
        return builder.as_streaming_dataset(split=split)
    try:
        builder.download_and_prepare(num_proc=num_proc)
    except DatasetGenerationError as error:
        raise _cause(error) from None
    return builder.as_dataset(split=split)


def _folder_cache(folder: Path, cache_dir: str | Path | None) -> Path:
    """Return where a folder's cases are prepared: elsewhere for every content.

    Of data sets whose README lists their files, as that of another tool may, `datasets` tells only
    the folders' names apart, and would give the cases of another folder of that name, or of what
    was in it before.
    """
    base = datasets.config.HF_DATASETS_CACHE if cache_dir is None else cache_dir
    return Path(base) / "case_folders" / fingerprint(folder_state(folder))[:16]


def _cause(error: DatasetGenerationError) -> BaseException:
    """Return what `datasets` wrapped; of an error in a worker process, only its text survives."""
    cause = error.__cause__
    if isinstance(cause, ValueError | OSError):
        return cause
    prefix = f"{DataSourceError.__module__}.{DataSourceError.__name__}: "
    for line in str(cause).splitlines():
        if line.startswith(prefix):
            return ValueError(line.removeprefix(prefix))
    return error


def _find_script(builder: str | Path) -> Path | None:
    if str(builder) in builder_names():
        return scripts_folder() / str(builder) / f"{builder}.py"
    path = Path(builder)
    if path.suffix == ".py":
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such script")
        return path
    return None


def _import(script: Path) -> ModuleType:
    """Import a script under a name that worker processes find again."""
    if script.resolve().is_relative_to(scripts_folder().resolve()):
        return importlib.import_module(f"raddiag_hf.dataset_scripts.{script.stem}.{script.stem}")
    module_name = f"raddiag_dataset_script_{fingerprint(script.read_bytes())[:8]}"
    module_name = f"{module_name}.{script.stem}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    specification = importlib.util.spec_from_file_location(module_name, script)
    if specification is None or specification.loader is None:
        raise ValueError(f"{script}: cannot be imported")
    module = importlib.util.module_from_spec(specification)
    sys.modules[module_name] = module
    try:
        specification.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        del sys.modules[module_name]
        raise BuilderScriptError(f"{script}: cannot be imported: {error}") from error
    return module


def _hash(script: Path, data_dir: Path | None) -> str:
    """Tell caches apart: by the code, and the names, sizes and dates of all files."""
    code = sorted(Path(__file__).parents[1].rglob("*.py"))
    data = [] if data_dir is None else [folder_state(data_dir)]
    return fingerprint(*(file.read_bytes() for file in (script, *code)), *data)[:16]
