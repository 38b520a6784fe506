"""A model meets scans that are like those of its training, or not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.checkpoints.training_domain import TrainingDomain
from raddiag_hf.checkpoints.training_kinds import TrainingKind, TrainingKinds
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.inference.domain_check import UnseenKindError
from raddiag_hf.inference.embedding import embed_scans
from raddiag_hf.metrics.embedding_distribution import EmbeddingDistribution
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.cases import make_scan
from tests.fixtures.models import tiny_model
from tests.fixtures.saved_models import label_names

PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)
CHEST_CT = make_scan(0, (3, 64, 64), Modality.CT, anatomy=Anatomy.CHEST)
SPINE_CT = make_scan(1, (3, 64, 64), Modality.CT, anatomy=Anatomy.SPINE)
FILM = make_scan(2, (1, 64, 64), Modality.XRAY, is_picture=True)
DOMAIN = TrainingDomain(TrainingKinds((TrainingKind(Modality.CT, Anatomy.CHEST, 40, 30),)))


@pytest.fixture(scope="module")
def model():
    return tiny_model(**label_names())


def test_a_kind_of_the_training_is_met_without_a_word(model):
    diagnosis = diagnose_case(model, PROCESSOR, [CHEST_CT], domain=DOMAIN, strict=True)
    assert diagnosis.warnings == ()
    assert diagnosis.domain.trained_on == "CT, Chest (40)"
    assert [kind.was_seen for kind in diagnosis.domain.kinds] == [True]
    assert diagnosis.domain.kinds[0].training_scans == 40


def test_the_first_warning_names_every_scan_of_another_kind(model):
    scans = [CHEST_CT, SPINE_CT, FILM]
    diagnosis = diagnose_case(model, PROCESSOR, scans, domain=DOMAIN, warnings=["Something else."])
    first, *_ = diagnosis.warnings
    assert first.startswith(
        "scan-1 (CT, Spine); scan-2 (X-ray): are of a kind that the model never"
    )
    assert "trained on CT, Chest (40)" in first
    kinds = json.loads(json.dumps(diagnosis.to_dict()))["domain"]["kinds"]
    assert [kind["was_seen"] for kind in kinds] == [True, False, False]


def test_what_the_training_warned_of_is_said_of_every_diagnosis(model):
    domain = replace(DOMAIN, warnings=("the model gives all cases the same answer",))
    told = "The training of this model warned: the model gives all cases the same answer."
    diagnosis = diagnose_case(model, PROCESSOR, [CHEST_CT], domain=domain, strict=True)
    assert diagnosis.warnings == (told,)
    assert diagnosis.to_dict()["domain"]["training_warnings"] == domain.warnings
    diagnosis = diagnose_case(model, PROCESSOR, [FILM], domain=domain, warnings=["Else."])
    assert diagnosis.warnings[1:] == (told, "Else.")


def test_strict_refuses_them(model):
    with pytest.raises(UnseenKindError, match=r"^scan-2 \(X-ray\): is of a kind that the model"):
        diagnose_case(model, PROCESSOR, [CHEST_CT, FILM], domain=DOMAIN, strict=True)


def test_a_model_that_does_not_say_is_no_reason_to_warn_but_to_refuse(model):
    diagnosis = diagnose_case(model, PROCESSOR, [CHEST_CT])
    assert diagnosis.domain is None
    assert diagnosis.warnings == ()
    with pytest.raises(UnseenKindError, match="ours: does not say what it was trained on"):
        diagnose_case(model, PROCESSOR, [CHEST_CT], strict=True, model_id="ours")


@pytest.fixture(scope="module")
def near(model):
    """The domain of scans of noise."""
    films = [make_scan(seed, (1, 64, 64), Modality.XRAY, is_picture=True) for seed in range(60)]
    embeddings = embed_scans(model, PROCESSOR, films).numpy()
    known = EmbeddingDistribution.fit(embeddings[:40], embeddings[40:], np.ones(20, np.int64))
    kinds = TrainingKinds((TrainingKind(Modality.XRAY, Anatomy.CHEST, 40, 40),))
    return TrainingDomain(kinds, known)


def test_every_diagnosis_tells_how_far_the_case_lies(model, near):
    film = make_scan(99, (1, 64, 64), Modality.XRAY, is_picture=True, anatomy=Anatomy.CHEST)
    diagnosis = diagnose_case(model, PROCESSOR, [film], domain=near)
    found = json.loads(json.dumps(diagnosis.to_dict()))["domain"]["training_distance"]
    assert found["p_value"] > 0.05
    assert found["distance"] < found["limit"]
    assert found["num_validation_cases"] == 20
    assert not found["is_far"]
    assert diagnosis.warnings == ()


def test_a_case_that_lies_far_is_warned_of_by_its_farthest_scan(model, near):
    film = make_scan(99, (1, 64, 64), Modality.XRAY, is_picture=True, anatomy=Anatomy.CHEST)
    edge = np.zeros((1, 64, 64), np.float32)
    edge[:, 20:40] = 1000
    odd = replace(film, volume=edge, scan_id="odd")
    diagnosis = diagnose_case(model, PROCESSOR, [film, odd], domain=near, strict=True)
    assert diagnosis.domain.training_distance.farthest_scan == "odd"
    assert diagnosis.domain.training_distance.p_value < 0.05
    assert diagnosis.warnings[0].startswith("odd lies further from the training scans than in all")
