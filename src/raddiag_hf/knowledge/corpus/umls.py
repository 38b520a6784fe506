"""UMLS, from the files of a licensed release, read line by line."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.knowledge.corpus.concept import Concept, KnowledgeSourceError, is_blank

SOURCE = "UMLS"

DISORDER_TYPES = frozenset(
    f"T{number:03d}" for number in (19, 20, 33, 37, 46, 47, 48, 49, 50, 184, 190, 191)
)
"""Semantic types of the UMLS semantic group Disorders."""

_FIELDS = {"MRCONSO.RRF": 18, "MRDEF.RRF": 8, "MRREL.RRF": 16, "MRSTY.RRF": 6}
_REPORT_EVERY = 100_000


def read_umls(folder: Path, progress: Progress = no_progress) -> Iterator[Concept]:
    """Read the English concepts of a release in Rich Release Format.

    Files may be gzipped (``.RRF.gz``). They are streamed; memory holds what is kept: English names
    that are not suppressed, obsolete or blank, definitions by sources that name concepts in
    English, and parents (``PAR``) that are kept themselves. Where ``MRSTY.RRF`` lies beside them,
    only the semantic group Disorders is kept.

    Args:
        folder: ``META`` of a release, with ``MRCONSO.RRF``, ``MRDEF.RRF`` and ``MRREL.RRF``.
        progress: Told the bytes read of each file.

    Yields:
        Concepts by identifier. The term is the preferred one of its concept (``TS=P, STT=PF,
        ISPREF=Y``), or the first.

    Raises:
        KnowledgeSourceError: If a file is missing, is not UTF-8, is no whole gzip file though its
            name says so, or a line has another number of fields; the message names file and line.

    Source:
        UMLS Reference Manual, chapter 3 (columns of the Rich Release Format).
    """
    disorders = None
    if any((folder / f"MRSTY.RRF{suffix}").is_file() for suffix in ("", ".gz")):
        rows = _rows(folder, "MRSTY.RRF", progress)
        disorders = {row[0] for row in rows if row[1] in DISORDER_TYPES}
    names: dict[str, dict[str, None]] = {}
    preferred: dict[str, str] = {}
    english_sources: set[str] = set()
    for row in _rows(folder, "MRCONSO.RRF", progress):
        concept, language, status, form, is_preferred = row[0], row[1], row[2], row[4], row[6]
        if language != "ENG" or row[16] not in ("N", "") or is_blank(row[14]):
            continue
        english_sources.add(row[11])
        if disorders is not None and concept not in disorders:
            continue
        names.setdefault(concept, {})[row[14]] = None
        if (status, form, is_preferred) == ("P", "PF", "Y"):
            preferred.setdefault(concept, row[14])
    definitions: dict[str, dict[str, None]] = {}
    for row in _rows(folder, "MRDEF.RRF", progress):
        is_kept = row[0] in names and row[4] in english_sources and not is_blank(row[5])
        if is_kept and row[6] in ("N", ""):
            definitions.setdefault(row[0], {})[row[5]] = None
    parents: dict[str, dict[str, None]] = {}
    for row in _rows(folder, "MRREL.RRF", progress):
        child, relation, parent = row[0], row[3], row[4]
        is_kept = child in names and parent in names and child != parent
        if relation == "PAR" and is_kept and row[14] in ("N", ""):
            parents.setdefault(child, {})[parent] = None
    for concept in sorted(names):
        term = preferred.get(concept, next(iter(names[concept])))
        yield Concept(
            term=term,
            synonyms=tuple(name for name in names[concept] if name != term),
            parents=tuple(sorted(parents.get(concept, ()))),
            descriptions=tuple(definitions.get(concept, ())),
            source=SOURCE,
            id=concept,
        )


def _rows(folder: Path, name: str, progress: Progress) -> Iterator[Sequence[str]]:
    """Yield the fields of each line."""
    path = folder / name
    if not path.is_file():
        path = folder / f"{name}.gz"
    if not path.is_file():
        raise KnowledgeSourceError(f"{folder}: has no {name} or {name}.gz")
    total, num_fields = path.stat().st_size, _FIELDS[name]
    if path.suffix == ".gz" and total == 0:
        raise KnowledgeSourceError(f"{path}: is empty, expected a gzip file")
    with (
        path.open("rb") as stored,
        gzip.open(stored) if path.suffix == ".gz" else nullcontext(stored) as lines,
    ):
        try:
            for number, line in enumerate(lines, start=1):
                encoding = "utf-8-sig" if number == 1 else "utf-8"
                fields = line.decode(encoding).rstrip("\r\n").split("|")
                if len(fields) != num_fields + 1 or fields[-1]:
                    raise KnowledgeSourceError(
                        f"{path}, line {number}: has {len(fields) - 1} fields, each ended by '|'; "
                        f"expected {num_fields}"
                    )
                yield fields
                if number % _REPORT_EVERY == 0:
                    progress(name, stored.tell(), total)
        except UnicodeDecodeError as error:
            raise KnowledgeSourceError(f"{path}, line {number}: is not UTF-8: {error}") from None
        except EOFError:
            raise KnowledgeSourceError(
                f"{path}: is cut short, expected a whole gzip file"
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise KnowledgeSourceError(
                f"{path}: is damaged or no gzip file, though its name says so: {error}"
            ) from None
    progress(name, total, total)
