"""Classes of another data set as unions of related labels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.labels.zero_shot import (
    ZeroShotMapping,
    ZeroShotMappingError,
    propose_related_labels,
)
from raddiag_hf.metrics import evaluate_predictions

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
    predictions = expit(logits) >= thresholds
    union = MAPPING.predictions(predictions, LABELS)
    for column, labels in enumerate(([1, 2], [3, 4])):
        assert (union[:, column] == predictions[:, labels].any(1)).all()
        scores = MAPPING.scores(logits, LABELS)[:, column]
        assert (scores == logits[:, labels].max(1)).all()
    margins = MAPPING.margins(logits, thresholds, LABELS)
    assert ((margins >= 0) == union).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_threshold_that_is_the_probability_of_a_case_is_reached_by_it(dtype):
    logits = np.random.default_rng(0).normal(size=(2000, 5)).astype(dtype)
    union = np.ones(2, dtype=bool)
    for row in logits:
        probabilities = expit(row.astype(np.float64))
        reached = MAPPING.margins(row[None], probabilities, LABELS)[0]
        above = MAPPING.margins(row[None], np.nextafter(probabilities, 2), LABELS)[0]
        assert ((reached >= 0) == union).all()
        assert (above.astype(dtype) < 0).all()
        assert (expit(above.astype(np.float32)) < 0.5).all()


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
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # else Excel takes it for Latin-1
    lines = path.read_text("utf-8-sig").splitlines()
    assert lines[:2] == ["target,related,similarity", "tumor,Glioma,0.8123"]
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
    "text",
    [
        "sep=;\r\ntarget;related\r\ntumor;Glioma\r\n",
        "target\trelated\ntumor\tGlioma\n",
        " Target , RELATED ,Note\ntumor,Glioma,checked\n",
        "target,related\ntumor,Glioma,,\n",
    ],
)
def test_other_spellings_of_a_table_are_read(text, tmp_path):
    path = tmp_path / "related.csv"
    path.write_bytes(text.encode())
    assert ZeroShotMapping.load(path, LABELS).related == {"tumor": ("Glioma",)}


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
        (b"target,related,similarity\nt,Glioma,nan\n", "line 2: similarity is 'nan'"),
        (b"sep=,\ntarget,related,similarity\nt,Glioma,inf\n", "line 3: similarity is 'inf'"),
        (b"target,related,Related\nt,Glioma,Normal\n", "has the column 'related' twice"),
        (b"target,related\nt,Glioma, low grade\n", "line 2: has more fields than the header"),
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
