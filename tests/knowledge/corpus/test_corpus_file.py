"""The corpus as Parquet."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raddiag_hf.core.fingerprint import file_fingerprint
from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.corpus_file import (
    SCHEMA,
    CorpusError,
    read_corpus,
    write_corpus,
)
from raddiag_hf.knowledge.corpus.pairs import build_pairs
from tests.fixtures.concepts import concept_tree


def test_a_corpus_comes_back_as_it_was_written_and_bytes_are_the_same_each_time(tmp_path):
    pairs, _ = build_pairs(concept_tree(), HeldOut())
    write_corpus(pairs, tmp_path / "a.parquet")
    write_corpus(pairs, tmp_path / "b.parquet")
    assert read_corpus(tmp_path / "a.parquet") == pairs
    assert file_fingerprint(tmp_path / "a.parquet") == file_fingerprint(tmp_path / "b.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "corpus.parquet"
    path.write_text("not Parquet")
    with pytest.raises(CorpusError, match=r"corpus\.parquet: is not a Parquet file"):
        read_corpus(path)
    pq.write_table(pa.table({"anchor": ["gout"]}), path)
    with pytest.raises(CorpusError, match="lacks the columns"):
        read_corpus(path)


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.parquet"
    write_corpus(build_pairs(concept_tree(["lung"]), HeldOut())[0], path)
    return path


def test_what_is_not_there_and_what_is_damaged_is_refused_by_name(tmp_path, corpus):
    with pytest.raises(CorpusError, match=r"absent\.parquet: expected a corpus.* no such file"):
        read_corpus(tmp_path / "absent.parquet")
    with pytest.raises(CorpusError, match=r"expected a corpus.* found a folder"):
        read_corpus(tmp_path)
    whole = corpus.read_bytes()
    corpus.write_bytes(whole[:40] + b"\xff" * 200 + whole[240:])
    with pytest.raises(CorpusError, match=r"corpus\.parquet: .*damaged"):
        read_corpus(corpus)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("kind", "metaphor", "metaphor"),
        ("anchor", " ", "anchor is ' '"),
        ("positive", "\u200b", "positive is '.u200b'"),
        ("anchor", None, "has no anchor"),
        ("hard_negatives", [{"text": "", "concept": "x"}], "hard negative 1 is ''"),
    ],
)
def test_a_bad_value_is_refused_by_file_and_row(corpus, column, value, reason):
    rows = pq.read_table(corpus).to_pylist()
    rows[2][column] = value
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), corpus)
    with pytest.raises(CorpusError, match=rf"corpus\.parquet, row 3: .*{reason}"):
        read_corpus(corpus)
