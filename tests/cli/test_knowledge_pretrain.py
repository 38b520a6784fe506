"""What `raddiag knowledge pretrain` says of the encoder that it made, and what it refuses."""

import json

import numpy as np
import pytest

from raddiag_hf.cli.knowledge.pretrain import describe_comparison
from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.knowledge.corpus.corpus_file import write_corpus
from raddiag_hf.knowledge.corpus.pairs import build_pairs
from raddiag_hf.metrics.bootstrap import compare_paired_means
from tests.fixtures.concepts import concept_tree
from tests.fixtures.text_encoders import tiny_text_encoder


@pytest.mark.parametrize(
    ("clusters", "expected"),
    [
        ("aabbccddee", "0.000 -> 1.000 (+1.000 to +1.000), 10 queries of 5 families"),
        ("aabbccdddd", "(no interval with fewer than 5 families), 10 queries of 4 families"),
        ("aaaaaaaaaa", "(no interval with fewer than 5 families), 10 queries of 1 family"),
    ],
)
def test_a_metric_names_its_queries_and_families(clusters, expected):
    comparison = compare_paired_means(np.zeros(10), np.ones(10), tuple(clusters))
    assert describe_comparison(comparison).endswith(expected)


@pytest.fixture
def pretrain(run, tmp_path):
    """Run the verb with a tiny base on a corpus of which little is held out."""
    tiny_text_encoder().save_pretrained(tmp_path / "base")
    pairs, _ = build_pairs(concept_tree(), HeldOut(0.2, 0.2, seed=4))
    write_corpus(pairs, tmp_path / "corpus.parquet")

    def pretrain(*options):
        return run(
            "knowledge", "pretrain", "--base", tmp_path / "base",
            "--corpus", tmp_path / "corpus.parquet", "--output", tmp_path / "encoder",
            "--batch-size", "32", "--chunk-size", "32", "--max-length", "16", *options,
        )  # fmt: skip

    return pretrain


def test_few_families_give_no_interval_and_rare_kinds_are_named(pretrain, tmp_path, caplog):
    code, out, _ = pretrain("--max-steps", "1")
    assert code == 0
    assert "(no interval with fewer than 5 families)" in out
    assert "fewer pairs than a batch of 32: description" in caplog.text
    text = (tmp_path / "encoder/metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["test"]["synonym_recall@1"]["difference"]["low"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "raddiag: epochs are 0.0, expected more than 0"),
        (["--frozen-layers", "99"], "raddiag: cannot freeze 99 layers of an encoder of 2"),
        (["--frozen-layers", "2", "--fixed-temperature"], "raddiag: with 2 of 2 layers frozen"),
        (["--learning-rate", "1e30"], "raddiag: learning_rate is 1e+30"),
    ],
)
def test_settings_that_train_nothing_are_refused_in_one_line(pretrain, tmp_path, options, message):
    code, out, err = pretrain(*options)
    assert (code, out) == (2, "")
    assert err.strip().splitlines()[-1].startswith(message)
    assert not (tmp_path / "encoder").exists()
