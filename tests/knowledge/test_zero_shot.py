"""Classes of another data set as unions of related labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from raddiag_hf.evaluation import evaluate_predictions
from raddiag_hf.knowledge.label_set import LabelSet
from raddiag_hf.knowledge.zero_shot import (
    ZeroShotMapping,
    ZeroShotMappingError,
    propose_related_labels,
)

LABELS = LabelSet(("Normal", "Glioma", "Meningioma", "Viral pneumonia", "Bacterial pneumonia"))
MAPPING = ZeroShotMapping(
    {"tumor": ("Glioma", "Meningioma"), "pneumonia": ("Viral pneumonia", "Bacterial pneumonia")},
    {("tumor", "Glioma"): 0.81234},
)
DIRECTIONS = {
    "Normal": (1, 0, 0),
    "Glioma": (0, 1, 0.1),
    "Meningioma": (0, 1, 0.6),
    "Viral pneumonia": (0, 0, 1),
    "Bacterial pneumonia": (0.2, 0, 1),
    "tumor": (0, 1, 0),
    "pneumonia": (0, 0, 1),
    "fracture": (-1, 0.1, 0),
}


class DirectionEncoder:
    """Embeds the names above in three dimensions."""

    fingerprint = "directions"

    def encode(self, texts):
        return torch.tensor([DIRECTIONS[text] for text in texts], dtype=torch.float32)


@given(
    arrays(np.float64, (7, 5), elements=st.floats(-8, 8)),
    arrays(np.float64, 5, elements=st.floats(0.01, 0.99)),
)
def test_a_target_is_the_union_after_thresholds_and_the_maximum_of_scores(logits, thresholds):
    predictions = 1 / (1 + np.exp(-logits)) >= thresholds
    union = MAPPING.predictions(predictions, LABELS)
    for column, labels in enumerate(([1, 2], [3, 4])):
        assert (union[:, column] == predictions[:, labels].any(1)).all()
        scores = MAPPING.scores(logits, LABELS)[:, column]
        assert (scores == logits[:, labels].max(1)).all()
    margins = MAPPING.margins(logits, thresholds, LABELS)
    clear = np.abs(margins) > 1e-9  # rounding decides on the threshold itself
    assert ((margins >= 0) == union)[clear].all()


def test_margins_evaluate_as_the_union():
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    logits = np.array([[0, 2.0, -3, -3, -3], [0, -3, 0.5, 3, 0], [0, 0.5, -1, -2, -2], [0] * 5])
    thresholds = [0.5, 0.7, 0.6, 0.5, 1.0]
    margins = MAPPING.margins(logits, thresholds, LABELS)
    result = evaluate_predictions(labels, margins, thresholds=[0.5, 0.5])
    union = MAPPING.predictions(1 / (1 + np.exp(-logits)) >= thresholds, LABELS)
    assert result.per_class["acc"].tolist() == (union == labels).mean(0).tolist()


def test_labels_are_proposed_by_similarity():
    targets = ["tumor", "pneumonia", "fracture"]
    proposed = propose_related_labels(targets, LABELS, DirectionEncoder(), top_k=2)
    assert proposed.related["tumor"] == ("Glioma", "Meningioma")
    assert proposed.related["pneumonia"] == ("Viral pneumonia", "Bacterial pneumonia")
    assert proposed.related["fracture"] == ("Glioma",)  # nothing is similar: the nearest
    assert proposed.targets == tuple(targets)
    assert proposed.similarities["pneumonia", "Viral pneumonia"] == pytest.approx(1)


def test_the_file_holds_the_mapping(tmp_path):
    path = tmp_path / "related.csv"
    MAPPING.save(path)
    assert path.read_text().splitlines()[:2] == ["target,related,similarity", "tumor,Glioma,0.8123"]
    loaded = ZeroShotMapping.load(path, LABELS)
    assert loaded.related == MAPPING.related
    assert loaded.similarities == {("tumor", "Glioma"): 0.8123}


def test_a_spreadsheet_may_have_saved_it(tmp_path):
    path = tmp_path / "related.csv"
    path.write_bytes(
        "\ufefftarget;related;similarity\r\ntumor;Glioma;0,8\r\n;;\r\ntumor;Meningioma;\r\n".encode()
    )
    loaded = ZeroShotMapping.load(path, LABELS)
    assert loaded.related == {"tumor": ("Glioma", "Meningioma")}
    assert loaded.similarities == {("tumor", "Glioma"): 0.8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", r"lacks the columns \['target', 'related'\]"),
        (b"target,related\n", "has no target class"),
        (b"target,related\ntumor,Gliom\n", r"5 labels: 'Gliom' \(of target 'tumor'\)"),
        (b"target,related\n\ntumor,\n", "line 3: related is empty"),
        (b"target,related\n,Glioma\n", "line 2: target is empty"),
        (b"target,related\nt,Glioma\nt,Glioma\n", "line 3: target 't' names 'Glioma' twice"),
        (b"target,related,similarity\nt,Glioma,high\n", "line 2: similarity is 'high'"),
        (b"\xff\xfe\x00", "expected CSV in UTF-8"),
    ],
)
def test_a_file_that_means_nothing_is_refused_by_name_and_line(text, message, tmp_path):
    path = tmp_path / "related.csv"
    path.write_bytes(text)
    with pytest.raises(ZeroShotMappingError, match=rf"related.csv: .*{message}"):
        ZeroShotMapping.load(path, LABELS)


def test_a_mapping_of_other_labels_is_refused():
    with pytest.raises(ZeroShotMappingError, match=r"2 labels: 'Glioma' \(of target 'tumor'\), "):
        MAPPING.scores(np.zeros((1, 2)), LabelSet(("Normal", "Abnormal")))
