"""Labels that were not trained come with their nearest trained labels."""

import logging
import math

import pytest
import torch

from raddiag_hf import open_labels_of, set_open_labels
from raddiag_hf.labels.open_labels import compare_with_trained, far_distance
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from tests.fixtures.models import tiny_config

ANGLES = {"Normal": 0, "Glioma": 90, "Meningioma": 96, "Pneumonia": 170, "Pneumonitis": 176}
"""Directions of the trained names in degrees: three groups, neighbours 6 degrees apart."""
OPEN = {"Astrocytoma": 88, "Rib fracture": 270}


class CompassEncoder:
    """Embeds the names above on a circle."""

    fingerprint = "compass"

    def encode(self, texts):
        angles = [math.radians((ANGLES | OPEN)[text]) for text in texts]
        return torch.tensor([(math.cos(angle), math.sin(angle)) for angle in angles])


def trained_model():
    config = tiny_config(classifier_type="knowledge", label_embedding_size=2)
    model = RadDiagForImageClassification(config)
    model.set_label_texts(list(ANGLES), CompassEncoder())
    return model


def test_an_open_label_names_its_nearest_trained_labels(caplog):
    model = trained_model()
    with caplog.at_level(logging.WARNING):
        found = set_open_labels(model, ["Astrocytoma", "Normal", "Rib fracture"], CompassEncoder())
    near, far = found.labels
    assert near.name == "Astrocytoma"
    assert near.nearest == ("Glioma", "Meningioma", "Pneumonia")
    assert near.distances[0] == pytest.approx(1 - math.cos(math.radians(2)), abs=1e-6)
    assert not near.is_far
    assert far.name == "Rib fracture"
    assert far.is_far
    (warning,) = found.warnings()
    assert warning.startswith("'Rib fracture' was not trained; nearest trained labels: 'Normal'")
    assert warning in caplog.text


def test_a_loaded_model_still_tells_its_open_labels(tmp_path):
    model = trained_model()
    found = set_open_labels(model, ["Rib fracture", "Normal"], CompassEncoder())
    model.save_pretrained(tmp_path)
    loaded = RadDiagForImageClassification.from_pretrained(tmp_path)
    assert open_labels_of(loaded) == found


def test_trained_labels_are_not_open():
    assert open_labels_of(trained_model()).labels == ()
    assert open_labels_of(RadDiagForImageClassification(tiny_config())).labels == ()
    model = trained_model()
    found = set_open_labels(model, ["Normal", "Glioma"], CompassEncoder())
    assert found.labels == found.warnings() == ()


def test_far_is_farther_than_trained_labels_lie_apart():
    torch.manual_seed(0)
    trained = torch.randn(200, 8)
    far_from = far_distance(trained)
    alone = [
        compare_with_trained(
            ["this one"],
            trained[[row]],
            [str(other) for other in range(199)],
            torch.cat([trained[:row], trained[row + 1 :]]),
        )
        for row in range(200)
    ]
    farther = [found.labels[0].distances[0] > far_from for found in alone]
    assert sum(farther) == 10  # 5 % of the trained labels have no neighbour that near


def test_one_trained_label_makes_every_other_far():
    found = compare_with_trained(
        ["Glioma"], torch.tensor([[0.0, 1]]), ["Normal"], torch.tensor([[1.0, 0]])
    )
    assert found.labels[0].is_far
    assert found.labels[0].nearest == ("Normal",)
