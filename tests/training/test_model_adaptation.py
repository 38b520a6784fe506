"""What of a model stays, and what is new, for other labels and cases."""

import pytest
import torch

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.finetune_settings import (
    FinetuneError,
    FinetuneSettings,
    Fusion,
    Head,
    Method,
)
from raddiag_hf.training.model_adaptation import adapt_model, plan_adaptation
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS
from tests.fixtures.models import tiny_model
from tests.fixtures.saved_models import label_names


def plan(
    model, method=Method.FULL, labels=LABELS, is_single_scan=False, is_exclusive=False, **options
):
    settings = FinetuneSettings(method, **options)
    adaptation = plan_adaptation(
        model.config, labels, is_single_scan, settings, is_exclusive=is_exclusive
    )
    return adaptation, settings


def test_an_equal_label_set_keeps_the_classifier():
    names = label_names()
    model = tiny_model(**names)
    labels = LabelSet(tuple(names["id2label"].values()))
    adaptation, settings = plan(model, labels=labels, is_single_scan=True)
    assert adaptation.head == "the model's own"
    assert not adaptation.skips_fusion, "the classifier knows fused embeddings"
    adapted = adapt_model(model, adaptation, labels, 60, settings)
    assert torch.equal(adapted.classifier.fc2.weight, model.classifier.fc2.weight)


EXCLUSIVE = {"problem_type": "single_label_classification"}
OWN = LabelSet(tuple(label_names()["id2label"].values()))


@pytest.mark.parametrize(
    ("fields", "labels", "asked", "expected"),
    [
        ({}, LABELS, {}, True),
        ({}, LABELS, {"exclusive": False}, False),
        ({"classification_loss": "focal"}, LABELS, {}, False),
        ({"classification_loss": "focal"}, LABELS, {"method": Method.LINEAR_PROBE}, True),
        ({"fusion_type": "max"}, LABELS, {}, False),
        (label_names(), OWN, {}, False),
        (label_names() | EXCLUSIVE, OWN, {}, True),
    ],
)
def test_a_new_classifier_is_exclusive_where_the_data_are(fields, labels, asked, expected):
    """And the model allows it; a classifier that is kept stays what it is."""
    model = tiny_model(**fields)
    adaptation, settings = plan(model, labels=labels, is_exclusive=True, **asked)
    assert adaptation.is_exclusive is expected
    adapted = adapt_model(model, adaptation, labels, 60, settings)
    assert adapted.config.has_exclusive_labels is expected


@pytest.mark.parametrize(
    ("fields", "options", "message"),
    [
        (
            label_names() | EXCLUSIVE,
            {"labels": OWN},
            "the labels of the model are exclusive, but the data set",
        ),
        ({"fusion_type": "max"}, {"exclusive": True}, "takes the highest prediction"),
        ({"classification_loss": "focal"}, {"exclusive": True}, "trained with the loss focal"),
    ],
)
def test_labels_that_cannot_be_exclusive_are_refused(fields, options, message):
    with pytest.raises(FinetuneError, match=message):
        plan(tiny_model(**fields), **options)


def test_a_new_label_set_keeps_all_but_the_last_layer():
    model = tiny_model(decision_thresholds=[0.5] * 5, calibration_temperature=2.0)
    adaptation, settings = plan(model)
    adapted = adapt_model(model, adaptation, LABELS, 60, settings)
    kept, new = adapted.state_dict(), model.state_dict()
    differing = {name for name in kept if not torch.equal(kept[name], new[name])}
    assert differing == {"classifier.fc2.weight", "classifier.fc2.bias"}
    assert adapted.config.decision_thresholds is None
    assert adapted.config.calibration_temperature == 1.0
    assert adapted.config.freeze_batch_norm


@pytest.mark.parametrize("labels", [LABELS, LabelSet(tuple("abcde"))])
def test_a_loss_that_counts_gets_the_counts_of_the_new_cases(labels):
    """Of as many labels or of others: the old counts say nothing of the new data."""
    model = tiny_model(
        classification_loss="logit_adjusted",
        train_label_counts=[1, 2, 3, 4, 5],
        num_train_cases=9,
    )
    counted = labels.with_counts({Split.TRAIN: [20] * len(labels)})
    for method, loss in ((Method.FULL, "logit_adjusted"), (Method.LINEAR_PROBE, "bce")):
        adaptation, settings = plan(model, method, labels=counted)
        config = adapt_model(model, adaptation, counted, 60, settings).config
        assert config.train_label_counts == [20] * len(labels)
        assert config.num_train_cases == 60
        assert config.classification_loss == loss


@pytest.mark.parametrize(
    ("fusion", "is_single_scan", "skips"),
    [
        (Fusion.AUTO, True, True),
        (Fusion.AUTO, False, False),
        (Fusion.KEEP, True, False),
        (Fusion.SKIP, False, True),
    ],
)
def test_whether_scans_are_fused(fusion, is_single_scan, skips):
    adaptation, _ = plan(tiny_model(), is_single_scan=is_single_scan, fusion=fusion)
    assert adaptation.skips_fusion is skips


def test_a_knowledge_head_has_to_be_there():
    with pytest.raises(FinetuneError, match="classifier is linear"):
        plan(tiny_model(), head=Head.KNOWLEDGE)
