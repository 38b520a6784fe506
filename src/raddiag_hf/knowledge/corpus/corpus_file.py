"""The corpus as a Parquet file."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.file_format import FileFormatError, check_format
from raddiag_hf.knowledge.corpus.concept import is_blank
from raddiag_hf.knowledge.corpus.pairs import HardNegative, KnowledgePair, PairKind
from raddiag_hf.vocabulary import Split

FILE_FORMAT = 1
FORMAT_KEY = b"raddiag_corpus"
"""Where the metadata of the file say of which version it is."""
SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("anchor", pa.string()),
        ("positive", pa.string()),
        ("anchor_concept", pa.string()),
        ("positive_concept", pa.string()),
        (
            "hard_negatives",
            pa.list_(pa.struct([("text", pa.string()), ("concept", pa.string())])),
        ),
        ("family", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
    ],
    metadata={FORMAT_KEY: str(FILE_FORMAT)},
)
"""Columns: the fields of `KnowledgePair`."""

_ROWS_AT_ONCE = 65_536


class CorpusError(InputError):
    """A corpus that cannot be used: which file, what was expected, what was found."""


def write_corpus(pairs: Sequence[KnowledgePair], path: Path) -> None:
    """Write pairs; an existing file is replaced at once or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    with (
        atomic_write(path) as temporary,
        pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
    ):
        for first in range(0, len(pairs), _ROWS_AT_ONCE):
            rows = [_row(pair) for pair in pairs[first : first + _ROWS_AT_ONCE]]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def read_corpus(path: Path) -> list[KnowledgePair]:
    """Read what `write_corpus` wrote.

    Raises:
        CorpusError: If the file is not such a corpus; the message names file and row.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise CorpusError(f"{path}: expected a corpus, a Parquet file; found {found}")
    pairs = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            pairs.append(_pair(row))
        except (ValueError, TypeError) as error:
            raise CorpusError(f"{path}, row {number}: {error}") from None
    return pairs


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a corpus, and refuse a file that is no corpus."""
    try:
        with pq.ParquetFile(path) as file:
            _check_version(file.schema_arrow, path)
            if missing := sorted(set(SCHEMA.names) - set(file.schema_arrow.names)):
                raise CorpusError(f"{path}: lacks the columns {missing} of a corpus")
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=SCHEMA.names):
                yield from batch.cast(SCHEMA).to_pylist()
    except (UnicodeDecodeError, OSError, pa.ArrowException) as error:  # OSError: damaged pages
        raise CorpusError(f"{path}: is not a Parquet file, or is damaged: {error}") from None


def _check_version(schema: pa.Schema, path: Path) -> None:
    version = (schema.metadata or {}).get(FORMAT_KEY, b"1").decode("ascii", "replace")
    try:
        check_format(int(version) if version.isdecimal() else version, FILE_FORMAT)
    except FileFormatError as error:
        raise CorpusError(f"{path}: {error}") from None


def _row(pair: KnowledgePair) -> dict[str, Any]:
    row = {name: getattr(pair, name) for name in SCHEMA.names}
    row["hard_negatives"] = [
        {"text": negative.text, "concept": negative.concept} for negative in pair.hard_negatives
    ]
    return row


def _pair(row: dict[str, Any]) -> KnowledgePair:
    if empty := [name for name in SCHEMA.names if row[name] is None]:
        raise ValueError(f"has no {empty[0]}")
    negatives = [HardNegative(**negative) for negative in row["hard_negatives"]]
    texts = {"anchor": row["anchor"], "positive": row["positive"]}
    texts |= {f"hard negative {place}": one.text for place, one in enumerate(negatives, start=1)}
    if blank := [name for name, text in texts.items() if text is None or is_blank(text)]:
        raise ValueError(f"{blank[0]} is {texts[blank[0]]!r}, expected a text")
    return KnowledgePair(
        **row
        | {
            "kind": PairKind(row["kind"]),
            "split": Split(row["split"]),
            "hard_negatives": tuple(negatives),
        }
    )
