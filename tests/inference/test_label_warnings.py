"""A diagnosis says which of its labels the model was never trained with."""

import pytest
import torch

from raddiag_hf.inference.label_warnings import warn_about_labels
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from tests.fixtures.models import tiny_config

DIRECTIONS = {
    "Normal": (1.0, 0.0, 0.0),
    "Glioma": (0.0, 1.0, 0.1),
    "Meningioma": (0.0, 1.0, 0.0),
    "Astrocytoma": (0.0, 1.0, 0.05),
    "Rib fracture": (-1.0, -1.0, -1.0),
}


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
