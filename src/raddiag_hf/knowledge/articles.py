"""Articles about disorders, from files that the user has the right to use."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raddiag_hf.knowledge.concept import Concept, KnowledgeSourceError

SOURCE = "articles"

_LISTS = ("synonyms", "parents")
_TEXTS = ("definition", "radiographic features")
_KEYS = {"name", "id", *_LISTS, *_TEXTS}


def read_articles(path: Path) -> Iterator[Concept]:
    """Read a folder of articles, or one JSONL file.

    A line of a ``.jsonl`` file is an object with ``name`` and any of ``definition``,
    ``radiographic_features``, ``synonyms``, ``parents`` and ``id``; texts may be lists of texts.

    A ``.txt`` or ``.md`` file is one article. Its first line is the name, and headings on lines of
    their own say what follows: ``Definition``, ``Radiographic features``, ``Synonyms``,
    ``Parents``. Text before any heading is the definition; synonyms and parents are separated by
    lines or ``;``. Headings may have a colon behind or ``#`` before them::

        Pneumothorax
        Gas in the pleural space.
        Radiographic features
        A visible visceral pleural edge without lung markings beyond it.
        Synonyms: collapsed lung

    Args:
        path: A folder, searched with the folders in it, or a file.

    Yields:
        One concept per article. Its identifier is ``id``, or its name; parents are identifiers.
        Each paragraph of a text is a description by itself.

    Raises:
        KnowledgeSourceError: If there is no article, or one cannot be read; the message names file
            and line.
    """
    kinds = (".jsonl", ".txt", ".md")
    files = (
        [path]
        if path.is_file()
        else sorted(file for file in path.rglob("*") if file.suffix in kinds and file.is_file())
    )
    if not files or files[0].suffix not in kinds:
        raise KnowledgeSourceError(f"{path}: expected articles as {', '.join(kinds)} files")
    for file in files:
        try:
            text = file.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise KnowledgeSourceError(f"{file}: is not UTF-8: {error}") from None
        if file.suffix == ".jsonl":
            for number, line in enumerate(text.split("\n"), start=1):
                if line.strip():
                    yield _from_json(line, f"{file}, line {number}")
        else:
            yield _from_text(text, str(file))


def _from_json(line: str, place: str) -> Concept:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise KnowledgeSourceError(f"{place}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise KnowledgeSourceError(f"{place}: is {content!r}, expected an object")
    fields: dict[str, Any] = {key.replace("_", " "): value for key, value in content.items()}
    if unknown := sorted(fields.keys() - _KEYS):
        raise KnowledgeSourceError(f"{place}: has unknown keys {unknown}, expected {sorted(_KEYS)}")
    for key, value in fields.items():
        values = value if isinstance(value, list) and key not in ("name", "id") else [value]
        if not all(isinstance(one, str) for one in values):
            raise KnowledgeSourceError(f"{place}: {key} is {value!r}, expected text")
        if key in (*_LISTS, *_TEXTS):
            fields[key] = values
    return _concept(fields, place)


def _from_text(text: str, place: str) -> Concept:
    name, _, body = text.strip().partition("\n")
    fields: dict[str, Any] = {"name": name.lstrip("# ")}
    heading = "definition"
    paragraphs: dict[str, list[str]] = {heading: [""]}
    for line in body.splitlines():
        start, _, rest = line.strip().lstrip("# ").partition(":")
        if start.casefold() in (*_LISTS, *_TEXTS):
            heading, line = start.casefold(), rest
            paragraphs.setdefault(heading, []).append("")
        if heading in _LISTS:
            paragraphs[heading] += line.split(";")
        elif line.strip():
            paragraphs[heading][-1] = f"{paragraphs[heading][-1]} {line.strip()}"
        else:
            paragraphs[heading].append("")
    return _concept(fields | paragraphs, place)


def _concept(fields: Mapping[str, Any], place: str) -> Concept:
    name = " ".join(fields.get("name", "").split())
    if not name:
        raise KnowledgeSourceError(f"{place}: has no name")

    def texts(key: str) -> tuple[str, ...]:
        lines = (" ".join(text.split()) for text in fields.get(key, ()))
        return tuple(line.lstrip("-* ") if key in _LISTS else line for line in lines if line)

    return Concept(
        term=name,
        synonyms=texts("synonyms"),
        parents=texts("parents"),
        descriptions=texts("definition") + texts("radiographic features"),
        source=SOURCE,
        id=fields.get("id", name),
    )
