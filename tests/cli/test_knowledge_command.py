"""`raddiag knowledge corpus` and `pretrain`: from sources to an encoder, and what is refused."""

import json

import pytest

from raddiag_hf.knowledge.corpus.corpus_file import read_corpus
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from tests.fixtures.concepts import concept_tree
from tests.fixtures.text_encoders import tiny_text_encoder


@pytest.fixture
def articles(tmp_path):
    path = tmp_path / "articles.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "name": concept.term,
                    "id": concept.id,
                    "synonyms": concept.synonyms,
                    "parents": concept.parents,
                    "definition": list(concept.descriptions),
                }
            )
            + "\n"
            for concept in concept_tree()
        )
    )
    return path


def test_sources_become_a_corpus_and_a_corpus_an_encoder(run, tmp_path, articles):
    corpus, output = tmp_path / "corpus.parquet", tmp_path / "encoder"
    code, out, _ = run(
        "knowledge", "corpus", "--articles", articles, "--test", "0.3", "--seed", "4", "-o", corpus
    )
    assert code == 0
    assert out.splitlines()[-1].endswith(f"{len(read_corpus(corpus))} pairs of 104 concepts")
    tiny_text_encoder().save_pretrained(tmp_path / "base")
    options = ["--max-steps", "2", "--batch-size", "8", "--chunk-size", "8"]
    arguments = ["--base", tmp_path / "base", "--corpus", corpus, "--output", output, *options]
    code, out, _ = run("knowledge", "pretrain", *arguments)
    assert code == 0
    assert "synonym_recall@1" in out
    assert TextEncoder.from_pretrained(output).width == 16
    code, _, err = run("knowledge", "pretrain", *arguments)
    assert code == 2
    assert err.strip() == (
        f"raddiag: {output}: holds a pre-trained encoder already; name a new folder"
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["corpus", "-o", "c.parquet"], "name at least one source"),
        (["corpus", "--articles", "absent", "-o", "c.parquet"], "absent: expected articles"),
        (["corpus", "--umls", "absent", "-o", "c.parquet"], "has no MRCONSO.RRF"),
        (["corpus", "--icd10cm", "-o", "absent/c.parquet"], "there is no folder absent"),
        (["corpus", "--icd10cm", "-o", "."], "--output .: is a folder"),
        (["pretrain", "--corpus", "absent", "-o", "encoder"], "absent"),
        (["pretrain", "--corpus", "bad.parquet", "-o", "encoder"], "is not a Parquet file"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(run, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.parquet").write_text("x")
    code, out, err = run("knowledge", *arguments)
    assert code == 2
    assert out == ""
    assert reason in err.strip().splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]


def test_a_split_without_pairs_says_so(run, tmp_path, articles):
    code, out, _ = run(
        "knowledge", "corpus", "--articles", articles, "--test", "0", "-o", tmp_path / "c.parquet"
    )
    assert code == 0
    assert "test: no pairs" in out.splitlines()


def test_the_verbs_are_shown_where_none_is_named(run):
    code, out, _ = run("knowledge")
    assert code == 0
    assert {"corpus", "pretrain"} <= set(out.split())
