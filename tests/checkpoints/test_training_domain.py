"""Domain of a model: saved beside it, read back, refused where it is damaged."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raddiag_hf.checkpoints.training_domain import (
    EMBEDDINGS_FILE,
    WARNINGS_FILE,
    TrainingDomain,
    read_training_domain,
)
from raddiag_hf.checkpoints.training_kinds import TrainingKind, TrainingKinds
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.metrics.embedding_distribution import EmbeddingDistribution
from raddiag_hf.vocabulary import Anatomy, Modality

KINDS = TrainingKinds((TrainingKind(Modality.CT, Anatomy.CHEST, scans=40, cases=30),))


def make_domain(hidden=32):
    random = np.random.default_rng(0)
    training, validation = random.normal(size=(60, hidden)), random.normal(size=(20, hidden))
    embeddings = EmbeddingDistribution.fit(training, validation, np.ones(20, np.int64))
    return TrainingDomain(KINDS, embeddings)


def test_distances_and_limit_survive(tmp_path):
    domain = make_domain()
    domain.save(tmp_path)
    again = read_training_domain(tmp_path, "ours", 32)
    scans = np.random.default_rng(1).normal(size=(5, 32))
    np.testing.assert_allclose(
        again.embeddings.distances(scans), domain.embeddings.distances(scans), rtol=1e-5
    )
    assert again.embeddings.limit == domain.embeddings.limit
    assert (again.embeddings.num_scans, again.embeddings.num_cases) == (60, 20)


def test_the_widest_embeddings_take_less_than_a_megabyte(tmp_path):
    random = np.random.default_rng(0)
    training, validation = random.normal(size=(200, 2048)), random.normal(size=(20, 2048))
    embeddings = EmbeddingDistribution.fit(training, validation, np.ones(20, np.int64))
    TrainingDomain(KINDS, embeddings).save(tmp_path)
    assert (tmp_path / EMBEDDINGS_FILE).stat().st_size < 1e6


def test_a_domain_without_embeddings_leaves_none_of_another(tmp_path):
    make_domain().save(tmp_path)
    TrainingDomain(KINDS).save(tmp_path)
    assert read_training_domain(tmp_path, "ours", 32) == TrainingDomain(KINDS)


def test_warnings_of_the_training_survive_and_leave_none_of_another(tmp_path):
    domain = TrainingDomain(KINDS, warnings=("the model gives all cases the same answer",))
    domain.save(tmp_path)
    assert read_training_domain(tmp_path, "ours", 32) == domain
    TrainingDomain(KINDS).save(tmp_path)
    assert read_training_domain(tmp_path, "ours", 32) == TrainingDomain(KINDS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not JSON"),
        ("[]", "expected an object"),
        ('{"format": 2, "warnings": []}', "format is 2"),
        ('{"format": 1}', "holds None, expected a list of sentences"),
        ('{"format": 1, "warnings": "few"}', "holds 'few', expected a list of sentences"),
        ('{"format": 1, "warnings": [1]}', "expected a list of sentences"),
    ],
)
def test_damaged_warnings_are_refused_by_name(tmp_path, text, expected):
    TrainingDomain(KINDS).save(tmp_path)
    (tmp_path / WARNINGS_FILE).write_text(text)
    with pytest.raises(ModelSourceError, match=f"ours: .*{WARNINGS_FILE}: .*{expected}"):
        read_training_domain(tmp_path, "ours", 32)


def damage(path, change):
    tensors = load_file(path)
    metadata = {"format": "1"}
    change(tensors, metadata)
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda tensors, _: tensors.pop("axes"), "has no tensor axes"),
        (lambda tensors, _: tensors.update(mean=np.zeros(8)), "the model's have 32"),
        (lambda tensors, _: tensors.update(variances=np.zeros(15)), "variances above 0"),
        (lambda _, metadata: metadata.update(format="2"), "format is 2"),
        (lambda _, metadata: metadata.pop("format"), "format is ''"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, change, expected):
    make_domain().save(tmp_path)
    damage(tmp_path / EMBEDDINGS_FILE, change)
    with pytest.raises(ModelSourceError, match=f"ours: {EMBEDDINGS_FILE}: .*{expected}"):
        read_training_domain(tmp_path, "ours", 32)


def test_what_is_no_safetensors_file_is_refused_by_name(tmp_path):
    make_domain().save(tmp_path)
    (tmp_path / EMBEDDINGS_FILE).write_bytes(b"pickle")
    with pytest.raises(ModelSourceError, match=f"ours: {EMBEDDINGS_FILE}: "):
        read_training_domain(tmp_path, "ours", 32)
