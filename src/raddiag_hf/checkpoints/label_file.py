"""Label files: the ordered names behind the columns of a checkpoint's logits."""

import json
from collections import Counter
from pathlib import Path


class LabelFileError(ValueError):
    """A label file that does not give one name per column: which, and what was found there."""


def read_label_file(path: Path | str) -> tuple[str, ...]:
    """Return the label names in the order of the logit columns.

    Args:
        path: A JSON object name -> column, as the authors' ``disorder_label_dict.json``; a JSON
            list of names; or any other text with one name per line.

    Raises:
        LabelFileError: If it is none of these, repeats a name, or its columns are not 0 to n-1.
        OSError: If it cannot be opened.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise LabelFileError(f"{path}: is not text; expected JSON or one label per line") from None
    if path.suffix.lower() == ".json":
        names = _names_from_json(path, text)
    else:
        names = [line.strip() for line in text.splitlines() if line.strip()]
    if not names:
        raise LabelFileError(f"{path}: holds no label")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise LabelFileError(f"{path}: label {name!r} occurs {count} times, expected once")
    return tuple(names)


def _names_from_json(path: Path, text: str) -> list[str]:
    try:
        content = json.loads(text, object_pairs_hook=_refuse_repeated_keys)
    except json.JSONDecodeError as error:
        raise LabelFileError(f"{path}: is not JSON: {error}") from None
    except _RepeatedKeyError as error:
        raise LabelFileError(f"{path}: label {error.args[0]!r} occurs twice") from None
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return content
    is_mapping = isinstance(content, dict) and all(
        type(column) is int for column in content.values()
    )
    if not is_mapping:
        raise LabelFileError(f"{path}: expected an object name -> column or a list of names")
    by_column = sorted(content, key=content.__getitem__)
    columns = [content[name] for name in by_column]
    if columns != list(range(len(columns))):
        wrong = next(i for i, column in enumerate(columns) if column != i)
        raise LabelFileError(
            f"{path}: columns are not 0 to {len(columns) - 1}: expected {wrong}, "
            f"found {columns[wrong]} ({by_column[wrong]!r})"
        )
    return by_column


class _RepeatedKeyError(Exception):
    """A JSON object that names one label twice; json would keep the last in silence."""


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise _RepeatedKeyError(name)
    return dict(pairs)
