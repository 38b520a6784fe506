"""The corpus as Parquet."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raddiag_hf.knowledge.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus import build_pairs
from raddiag_hf.knowledge.corpus_file import (
    CorpusError,
    corpus_digest,
    read_corpus,
    write_corpus,
)
from tests.fixtures.concepts import concept_tree


def test_a_corpus_comes_back_as_it_was_written_and_bytes_are_the_same_each_time(tmp_path):
    pairs, _ = build_pairs(concept_tree(), HeldOut())
    write_corpus(pairs, tmp_path / "a.parquet")
    write_corpus(pairs, tmp_path / "b.parquet")
    assert read_corpus(tmp_path / "a.parquet") == pairs
    assert corpus_digest(tmp_path / "a.parquet") == corpus_digest(tmp_path / "b.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}


def test_other_files_are_refused_by_name(tmp_path):
    path = tmp_path / "corpus.parquet"
    path.write_text("not Parquet")
    with pytest.raises(CorpusError, match=r"corpus\.parquet: is not a Parquet file"):
        read_corpus(path)
    pq.write_table(pa.table({"anchor": ["gout"]}), path)
    with pytest.raises(CorpusError, match="lacks the columns"):
        read_corpus(path)


def test_a_foreign_value_is_refused(tmp_path):
    path = tmp_path / "corpus.parquet"
    pairs, _ = build_pairs(concept_tree(["lung"]), HeldOut())
    write_corpus(pairs, path)
    table = pq.read_table(path)
    kinds = pa.array(["metaphor"] * len(table))
    pq.write_table(table.set_column(table.schema.get_field_index("kind"), "kind", kinds), path)
    with pytest.raises(CorpusError, match="metaphor"):
        read_corpus(path)
