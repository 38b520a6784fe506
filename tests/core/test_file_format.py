"""Files of a newer version are refused in words, those without a version are of the first."""

import json

import pyarrow.parquet as pq
import pytest
from safetensors.torch import save_file
from torch import zeros

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.file_format import FileFormatError, check_format
from raddiag_hf.evaluation.evaluation_comparison import compare_evaluations
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError
from raddiag_hf.knowledge.corpus.corpus_file import SCHEMA, CorpusError, read_corpus
from raddiag_hf.labels.label_embeddings import LabelEmbeddings, LabelEmbeddingsError
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.record import TrainingRecord

NEWER = "reads formats up to 1: install a newer one"
RECORD = TrainingRecord(
    base_model=None,
    base_revision=None,
    method="from-scratch",
    head="linear",
    fusion="mean",
    hyperparameters={},
    label_names=("Normal",),
    data={},
    selection="the last",
    threshold_source=None,
    calibration_temperature=1.0,
    metrics=None,
    warnings=(),
    notes=(),
    created_at="2026-11-27",
    hardware="CPU",
    versions={},
)


def test_formats_up_to_the_newest_known_one_are_read():
    check_format(1, 2)
    check_format(2, 2)
    with pytest.raises(FileFormatError, match=r"format is 3, but .* up to 2: install a newer"):
        check_format(3, 2)


@pytest.mark.parametrize("found", [0, "1", None, True, 1.0])
def test_what_is_no_version_is_refused(found):
    with pytest.raises(InputError, match="expected a number from 1 to 2"):
        check_format(found, 2)


def with_format(text, version):
    content = json.loads(text)
    content.pop("format")
    return json.dumps(content if version is None else {"format": version, **content})


@pytest.mark.parametrize("value", [LabelSet.from_names(["Normal"]), RECORD])
def test_records_without_a_version_are_read_and_newer_ones_refused(value):
    assert json.loads(value.to_json())["format"] == 1
    assert type(value).from_json(with_format(value.to_json(), None)) == value
    with pytest.raises(FileFormatError, match=NEWER):
        type(value).from_json(with_format(value.to_json(), 2))


@pytest.mark.parametrize("metadata", [None, {b"raddiag_corpus": b"1"}])
def test_a_corpus_without_a_version_is_read(tmp_path, metadata):
    pq.write_table(SCHEMA.with_metadata(metadata).empty_table(), tmp_path / "corpus.parquet")
    assert read_corpus(tmp_path / "corpus.parquet") == []


def test_a_newer_corpus_is_refused(tmp_path):
    schema = SCHEMA.with_metadata({b"raddiag_corpus": b"2"})
    pq.write_table(schema.empty_table(), tmp_path / "corpus.parquet")
    with pytest.raises(CorpusError, match=f"corpus.parquet: format is 2, .* {NEWER}"):
        read_corpus(tmp_path / "corpus.parquet")


def test_newer_label_embeddings_are_refused(tmp_path):
    path = tmp_path / "labels.safetensors"
    save_file({"label_embeddings": zeros(1, 2)}, path, {"format": "raddiag label embeddings 2"})
    with pytest.raises(LabelEmbeddingsError, match=NEWER):
        LabelEmbeddings.load(path)


def test_a_newer_evaluation_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text('{"format": 2}')
    with pytest.raises(EvaluationInputError, match=f"metrics.json: format is 2, .* {NEWER}"):
        compare_evaluations([tmp_path / "a", tmp_path / "b"])
