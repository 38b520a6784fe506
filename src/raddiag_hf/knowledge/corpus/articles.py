"""Articles about disorders, from files that the user has the right to use."""

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raddiag_hf.knowledge.corpus.concept import (
    Concept,
    KnowledgeSourceError,
    has_lone_surrogate,
    is_blank,
)

SOURCE = "articles"

_KINDS = (".jsonl", ".txt", ".md")
_LISTS = ("synonyms", "parents")
_TEXTS = ("definition", "radiographic features")
_KEYS = {"name", "id", *_LISTS, *_TEXTS}

_HEADING = re.compile(r"#{1,6}\s.*")
_UNDERLINED = re.compile(r"(?:\A|(?<=\n\n))([^\s#*+•>|-].*)\n(=|-)\2{2,}[ \t]*$", re.MULTILINE)
_RULE = re.compile(r"[-=_*]{3,}")
_BULLETS = "-*+•–"
_BULLET = re.compile(rf"(?:[{_BULLETS}]|\d{{1,2}}[.)])\s+")


def read_articles(path: Path) -> Iterator[Concept]:
    """Read a folder of articles, or one JSONL file.

    A line of a ``.jsonl`` file is an object with ``name`` and any of ``definition``,
    ``radiographic_features``, ``synonyms``, ``parents`` and ``id``; texts may be lists of texts.

    A ``.txt`` or ``.md`` file is one article. Its first line is the name, and headings on lines of
    their own say what follows: ``Definition``, ``Radiographic features``, ``Synonyms``,
    ``Parents``. Text before any heading is the definition. Synonyms and parents are separated by
    lines or ``;``, behind a heading on its line by ``;`` or else by commas. Headings may have a
    colon behind or ``#`` before them, or be underlined::

        Pneumothorax
        Gas in the pleural space.
        Radiographic features
        A visible visceral pleural edge without lung markings beyond it.
        Synonyms: collapsed lung, pleural gas

    What stands below any other heading (with ``#``, or underlined) is left out, unless it is a
    heading within one of these sections, deeper than it.

    Args:
        path: A folder, searched with the folders in it, or a file.

    Yields:
        One concept per article. Its identifier is ``id``, or its name; parents are identifiers.
        Each paragraph or bullet of a text is a description by itself.

    Raises:
        KnowledgeSourceError: If there is no article, one cannot be read, or an identifier occurs
            twice; the message names file and line.
    """
    files = (
        [path]
        if path.is_file()
        else sorted(file for file in path.rglob("*") if _kind(file) in _KINDS and file.is_file())
    )
    if not files or _kind(files[0]) not in _KINDS:
        raise KnowledgeSourceError(f"{path}: expected articles as {', '.join(_KINDS)} files")
    places: dict[str, str] = {}
    for file in files:
        for concept, place in _read_file(file):
            if (first := places.setdefault(concept.id, place)) != place:
                raise KnowledgeSourceError(
                    f"{place}: article {concept.id!r} occurs twice, first in {first}"
                )
            yield concept


def _kind(file: Path) -> str:
    return file.suffix.lower()


def _read_file(file: Path) -> Iterator[tuple[Concept, str]]:
    """Yield the articles of a file, each with its place."""
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KnowledgeSourceError(f"{file}: is not UTF-8: {error}") from None
    if _kind(file) == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                place = f"{file}, line {number}"
                yield _from_json(line, place), place
    else:
        yield _from_text(text, str(file)), str(file)


def _from_json(line: str, place: str) -> Concept:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise KnowledgeSourceError(f"{place}: is not JSON: {error}") from None
    except RecursionError:
        raise KnowledgeSourceError(f"{place}: is nested too deeply for an article") from None
    except ValueError:
        raise KnowledgeSourceError(f"{place}: has a number of too many digits") from None
    if not isinstance(content, dict):
        raise KnowledgeSourceError(f"{place}: is {reprlib.repr(content)}, expected an object")
    fields: dict[str, Any] = {
        key.replace("_", " "): value for key, value in content.items() if value is not None
    }
    if unknown := sorted(fields.keys() - _KEYS):
        raise KnowledgeSourceError(f"{place}: has unknown keys {unknown}, expected {sorted(_KEYS)}")
    for key, value in fields.items():
        values = value if isinstance(value, list) and key not in ("name", "id") else [value]
        if not all(isinstance(one, str) and not has_lone_surrogate(one) for one in values):
            raise KnowledgeSourceError(f"{place}: {key} is {reprlib.repr(value)}, expected text")
        if key in (*_LISTS, *_TEXTS):
            fields[key] = values
    return _concept(fields, place)


def _from_text(text: str, place: str) -> Concept:
    marked = _UNDERLINED.sub(
        lambda found: f"{'#' if found[2] == '=' else '##'} {found[1]}", text.strip()
    )
    name, _, body = marked.partition("\n")
    section, depth = "definition", 0
    paragraphs: dict[str, list[str]] = {section: [""]}
    for line in map(str.strip, body.splitlines()):
        title, _, rest = line.strip("# ").partition(":")
        level = len(line) - len(line.lstrip("#"))
        if (known := title.strip().casefold()) in (*_LISTS, *_TEXTS):
            section, depth = known, level
            entries = rest.split(";" if ";" in rest else ",") if section in _LISTS else [rest]
            paragraphs.setdefault(section, []).extend(entries)
        elif _HEADING.fullmatch(line) and not 0 < depth < level:
            section = ""
        elif section in _LISTS and not _HEADING.fullmatch(line):
            paragraphs[section] += _BULLET.sub("", line.lstrip(f"{_BULLETS} "), count=1).split(";")
        elif section in _TEXTS:
            is_break = not line or _HEADING.fullmatch(line) or _RULE.fullmatch(line)
            if is_break or _BULLET.match(line):
                paragraphs[section].append("")
            if not is_break:
                paragraphs[section][-1] += f" {_BULLET.sub('', line, count=1)}"
    return _concept({"name": name.strip("# "), **paragraphs}, place)


def _concept(fields: Mapping[str, Any], place: str) -> Concept:
    name = " ".join(fields.get("name", "").split())
    if is_blank(name):
        raise KnowledgeSourceError(f"{place}: has no name")
    if is_blank(identifier := fields.get("id", name)):
        raise KnowledgeSourceError(f"{place}: id is {identifier!r}, expected text, or no id")

    def texts(key: str) -> tuple[str, ...]:
        lines = (" ".join(text.split()) for text in fields.get(key, ()))
        return tuple(line for line in lines if not is_blank(line))

    return Concept(
        term=name,
        synonyms=texts("synonyms"),
        parents=texts("parents"),
        descriptions=texts("definition") + texts("radiographic features"),
        source=SOURCE,
        id=identifier,
    )
