"""Doubts about scans and untrained labels reach the reader; what is usual does not."""

import pytest
import torch

from raddiag_hf.imaging.scan import DecisionKind, decision
from raddiag_hf.inference.diagnose import (
    DOUBTFUL_DECISIONS,
    warn_about_labels,
    warn_about_scans,
)
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from tests.fixtures.cases import make_scan
from tests.fixtures.models import tiny_config

DIRECTIONS = {
    "Normal": (1.0, 0.0, 0.0),
    "Glioma": (0.0, 1.0, 0.1),
    "Meningioma": (0.0, 1.0, 0.0),
    "Astrocytoma": (0.0, 1.0, 0.05),
    "Rib fracture": (-1.0, -1.0, -1.0),
}


def scan_with(*kinds, shape=(3, 64, 64)):
    decisions = [decision(kind) for kind in kinds]
    return make_scan(0, shape, provenance={"path": "/x/DOE.dcm", "decisions": decisions})


@pytest.mark.parametrize("kind", DOUBTFUL_DECISIONS)
def test_a_doubtful_decision_is_told(kind):
    (warning,) = warn_about_scans([scan_with(kind)])
    assert warning == f"scan-0: {DOUBTFUL_DECISIONS[kind]}."


@pytest.mark.parametrize(
    ("doubt", "words"),
    [
        (decision(DecisionKind.DEPTH_AXIS, axis="last", why="assumed"), "the last was taken"),
        (decision(DecisionKind.DEPTH_AXIS, axis="first", why="asked for"), None),
        (decision(DecisionKind.UNUSABLE_TAGS, keywords=["RescaleSlope"]), "rescale cannot be used"),
        (decision(DecisionKind.UNUSABLE_TAGS, keywords=["PatientAge"]), None),
    ],
)
def test_some_decisions_are_doubtful_by_what_they_say(doubt, words):
    warnings = warn_about_scans([make_scan(0, (3, 64, 64), provenance={"decisions": [doubt]})])
    assert len(warnings) == (words is not None)
    assert words is None or words in warnings[0]


def test_what_is_usual_is_not_told():
    usual = set(DecisionKind) - DOUBTFUL_DECISIONS.keys()
    assert warn_about_scans([scan_with(*usual)]) == []


def test_a_thumbnail_is_told():
    (warning,) = warn_about_scans([scan_with(shape=(1, 80, 16))])
    assert warning == "scan-0: it has only 80 x 16 pixels."


def test_a_scan_from_anywhere_else_has_no_decisions():
    assert warn_about_scans([make_scan(0, (1, 64, 64))]) == []


class DirectionEncoder:
    """Embeds the names above, two of which no model was trained with."""

    fingerprint = "directions"

    def encode(self, texts):
        return torch.tensor([DIRECTIONS[text] for text in texts])


@pytest.fixture
def model():
    config = tiny_config(classifier_type="knowledge", label_embedding_size=3)
    model = RadDiagForImageClassification(config)
    model.set_label_texts(["Normal", "Glioma", "Meningioma"], DirectionEncoder())
    return model


def test_trained_labels_need_no_warning(model):
    assert warn_about_labels(model, {"Normal", "Glioma"}) == []


def test_an_open_label_comes_with_its_neighbours_and_a_far_one_is_called_a_guess(model):
    model.set_label_texts(["Normal", "Astrocytoma", "Rib fracture"], DirectionEncoder())
    near, far = warn_about_labels(model, {"Normal", "Astrocytoma", "Rib fracture"})
    assert near.startswith("'Astrocytoma' was not trained; nearest trained labels: ")
    assert "guess" not in near
    assert far.endswith("so its scores are a guess.")


def test_labels_that_nobody_sees_are_left_out(model):
    model.set_label_texts(["Normal", "Astrocytoma", "Rib fracture"], DirectionEncoder())
    (only,) = warn_about_labels(model, {"Rib fracture"})
    assert only.startswith("'Rib fracture'")
