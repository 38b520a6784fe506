"""Kinds of training scans: which scans they know, and what is read back of them."""

import pytest

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.checkpoints.training_domain import KINDS_FILE, TrainingDomain
from raddiag_hf.checkpoints.training_kinds import TrainingKind, TrainingKinds
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.vocabulary import Anatomy, Modality
from tests.fixtures.saved_models import save_tiny_model

CT_OF_CHEST = TrainingKind(Modality.CT, Anatomy.CHEST, scans=40, cases=30)
KINDS = TrainingKinds((CT_OF_CHEST, TrainingKind(Modality.MRI, Anatomy.UNKNOWN, 9, 9)))


@pytest.mark.parametrize(
    ("modality", "anatomy", "expected"),
    [
        (Modality.CT, Anatomy.CHEST, True),
        (Modality.CT, Anatomy.SPINE, False),
        (Modality.CT, Anatomy.UNKNOWN, None),  # it may be of the chest
        (Modality.MRI, Anatomy.SPINE, None),  # the training scans may be of the spine
        (Modality.MRI, Anatomy.UNKNOWN, None),
        (Modality.XRAY, Anatomy.CHEST, False),
        (Modality.XRAY, Anatomy.UNKNOWN, False),
    ],
)
def test_a_kind_is_seen_or_not_or_nothing_tells(modality, anatomy, expected):
    assert KINDS.was_seen(modality, anatomy) is expected


@pytest.mark.parametrize(("unnamed", "expected"), [(39, False), (41, None)])
def test_a_few_scans_of_unknown_region_do_not_excuse_another(unnamed, expected):
    some = TrainingKind(Modality.CT, Anatomy.UNKNOWN, unnamed, 1)
    kinds = TrainingKinds((CT_OF_CHEST, some))
    assert kinds.was_seen(Modality.CT, Anatomy.SPINE) is expected


def test_they_are_told_the_most_frequent_first():
    assert str(KINDS) == "CT, Chest (40), MRI (9)"
    many = TrainingKinds(
        tuple(TrainingKind(one, Anatomy.CHEST, 2, 1) for one in list(Modality)[:7])
    )
    assert str(many).endswith("(2), 2 more kinds")


def test_they_are_read_as_they_were_written():
    assert TrainingKinds.from_json(KINDS.to_json()) == KINDS


def test_a_model_tells_them(tmp_path):
    folder = save_tiny_model(tmp_path / "model")
    assert load_model(str(folder), device="cpu").domain is None
    TrainingDomain(KINDS).save(folder)
    assert load_model(str(folder), device="cpu").domain == TrainingDomain(KINDS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "line 1 column 2"),
        ('{"format": 2, "kinds": []}', "format is 2"),
        ('{"format": 1, "kinds": []}', "each once"),
        ('{"format": 1, "kinds": [{"modality": "CT"}]}', "anatomy"),
        (KINDS.to_json().replace("Chest", "Leg"), "'Leg'"),
        (KINDS.to_json().replace("30", "50"), "40 scans in 50 cases"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, text, found):
    folder = save_tiny_model(tmp_path / "model")
    (folder / KINDS_FILE).write_text(text)
    with pytest.raises(
        ModelSourceError, match=f"{KINDS_FILE}: .*{found}" if found != KINDS_FILE else KINDS_FILE
    ):
        load_model(str(folder), device="cpu")
