"""Label files as people have them: which label each column of a checkpoint stands for."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from raddiag_hf.core.errors import InputError
from raddiag_hf.knowledge.corpus.concept import has_lone_surrogate, is_blank
from raddiag_hf.knowledge.corpus.icd10cm import describe_category
from raddiag_hf.labels.label_set import LabelSet

ICD10_LABEL_FILE = "icd10_label_dict.json"
"""How the authors name the file of ICD-10-CM categories, which are labels by their codes."""
ICD10_TEXTS_FILE = "icd10_desription.json"
"""How they name, and spell, what each category means; it may lie beside."""

_TABLES = (".csv", ".tsv")
_CATEGORY = re.compile(r"[A-Z]\d[0-9A-Z]")


class LabelFileError(InputError):
    """A file that does not give one name per column: which, and what was found there."""


def read_label_file(path: Path | str) -> LabelSet:
    """Read label names in the order of the logit columns.

    Categories of the authors' `ICD10_LABEL_FILE` are named by code and meaning, such as
    ``A00 Cholera``. Their meanings are those of `ICD10_TEXTS_FILE` beside it, or else of ICD-10-CM.

    Args:
        path: A JSON object name -> column, as the authors' ``disorder_label_dict.json``; a JSON
            list of names; what `LabelSet.save` wrote; or, if its name does not end in ``.json``,
            one name per line.

    Raises:
        LabelFileError: If it is none of these or a table (``.csv``, ``.tsv``), repeats a name, has
            one that shows nothing or is not Unicode, or its columns are not 0 to n-1.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    if path.suffix.lower() in _TABLES:
        raise LabelFileError(
            f"{path}: is a table; expected JSON (.json), or one label per line (.txt)"
        )
    with _named_faults(path):
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            label_set = _from_json(text)
        else:
            names = [line.strip() for line in text.splitlines() if line.strip()]
            label_set = LabelSet.from_names(names)
        _check_names(label_set)
    if path.name != ICD10_LABEL_FILE:
        return label_set
    texts: dict[str, str] = {}
    if (beside := path.with_name(ICD10_TEXTS_FILE)).is_file():
        with _named_faults(beside):
            texts = _read_meanings(beside)
    with _named_faults(path):
        return name_categories(label_set, texts)


def name_categories(label_set: LabelSet, texts: Mapping[str, str]) -> LabelSet:
    """Return ICD-10-CM categories with codes and definitions, named by both.

    Args:
        label_set: Its names are codes of categories; others, such as Normal, stay as they are.
        texts: Code -> what it means; those that are missing are looked up in ICD-10-CM.

    Example:
        >>> name_categories(LabelSet(("Normal", "A00")), {}).names
        ('Normal', 'A00 Cholera')
    """
    codes = tuple(name if _CATEGORY.fullmatch(name) else "" for name in label_set.names)
    meanings = [
        code and (" ".join(texts.get(code, "").split()) or describe_category(code))
        for code in codes
    ]
    names = tuple(
        f"{name} {meaning}" if meaning else name
        for name, meaning in zip(label_set.names, meanings, strict=True)
    )
    return LabelSet(names, codes, tuple(meanings))


def _read_meanings(path: Path) -> dict[str, str]:
    content = json.loads(path.read_text("utf-8-sig"))
    if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
        raise ValueError("expected an object category -> meaning")
    return content


@contextmanager
def _named_faults(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError:
        raise LabelFileError(f"{path}: is not text; expected JSON or one label per line") from None
    except json.JSONDecodeError as error:
        raise LabelFileError(f"{path}: is not JSON: {error}") from None
    except RecursionError:
        raise LabelFileError(f"{path}: is nested too deeply for a label file") from None
    except ValueError as error:
        raise LabelFileError(f"{path}: {error}") from None


def _from_json(text: str) -> LabelSet:
    content = json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return LabelSet.from_names(content)
    if isinstance(content, Mapping) and "labels" in content and "format" in content:
        return LabelSet.from_json(text)
    if isinstance(content, Mapping) and all(type(column) is int for column in content.values()):
        return LabelSet.from_label_dict(content)
    raise ValueError("expected an object name -> column, or a list of names")


def _check_names(label_set: LabelSet) -> None:
    """Refuse names that a label set may hold and that no tokenizer or reader can use."""
    for column, name in enumerate(label_set.names):
        if is_blank(name) or has_lone_surrogate(name):
            raise ValueError(f"label {column} is {name!r}, expected a name that can be read")


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object that names one label twice; json would keep the last in silence."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f"names {name!r} twice")
    return dict(pairs)
