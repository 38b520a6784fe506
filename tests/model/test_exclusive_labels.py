"""Exclusive labels: a softmax, whose logits are log-odds."""

import pytest
import torch
import torch.nn.functional as F
from huggingface_hub.errors import StrictDataclassError

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.model.exclusive_labels import exclusive_loss, softmax_log_odds, temper_log_odds
from raddiag_hf.model.label_texts import LabelTextError
from raddiag_hf.model.losses import classification_loss
from tests.fixtures.models import packed_batch, tiny_config, tiny_model

EXCLUSIVE = {"problem_type": "single_label_classification"}
BATCH = packed_batch([[2], [1, 3], [4, 1, 1]])


def test_the_sigmoid_of_log_odds_is_the_softmax():
    scores = torch.randn(50, 7, dtype=torch.float64) * 5
    log_odds = softmax_log_odds(scores)
    torch.testing.assert_close(log_odds.sigmoid(), scores.softmax(1))
    torch.testing.assert_close(F.logsigmoid(log_odds), scores.log_softmax(1))


@pytest.mark.parametrize("scale", [1e2, 1e4, 1e30])
def test_log_odds_and_their_gradients_are_finite_where_probabilities_are_0_or_1(scale):
    scores = (torch.tensor([[3.0, -2.0, 1.0], [0, 0, 0], [1, 1, -1]]) * scale).requires_grad_()
    log_odds = softmax_log_odds(scores)
    exclusive_loss(log_odds, torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])).backward()
    assert torch.isfinite(log_odds).all()
    assert torch.isfinite(scores.grad).all()
    torch.testing.assert_close(log_odds[0, 0], torch.tensor(2 * scale))


def test_the_loss_is_the_cross_entropy_of_the_softmax_with_its_gradient():
    scores = torch.randn(20, 4, dtype=torch.float64, requires_grad=True)
    labels = F.one_hot(torch.arange(20) % 4, 4).double()
    ours = exclusive_loss(softmax_log_odds(scores), labels)
    theirs = F.cross_entropy(scores, labels)
    torch.testing.assert_close(ours, theirs)
    (gradient,) = torch.autograd.grad(ours, scores)
    torch.testing.assert_close(gradient, torch.autograd.grad(theirs, scores)[0])


def test_a_case_of_two_labels_counts_as_much_as_a_case_of_one():
    log_odds = softmax_log_odds(torch.randn(1, 3))
    one, other = torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 1.0, 0]])
    both = (exclusive_loss(log_odds, one) + exclusive_loss(log_odds, other)) / 2
    torch.testing.assert_close(exclusive_loss(log_odds, one + other), both)


def test_a_case_of_unknown_labels_counts_nothing():
    config = tiny_config(**EXCLUSIVE)
    log_odds, labels = softmax_log_odds(torch.randn(3, 5)), torch.eye(5)[:3]
    labels[1] = torch.nan
    rest = classification_loss(log_odds[[0, 2]], labels[[0, 2]], config)
    torch.testing.assert_close(classification_loss(log_odds, labels, config), rest)


def test_a_temperature_divides_the_scores():
    scores = torch.randn(9, 5, dtype=torch.float64)
    log_odds = softmax_log_odds(scores)
    tempered = temper_log_odds(log_odds, 2.5)
    torch.testing.assert_close(tempered, softmax_log_odds(scores / 2.5))
    torch.testing.assert_close(temper_log_odds(tempered, 1 / 2.5), log_odds)


@pytest.mark.parametrize("fusion", ["transformer", "attention", "mean", "random"])
@pytest.mark.parametrize("classifier", ["linear", "probe", "knowledge"])
def test_probabilities_of_a_case_sum_to_1(fusion, classifier):
    model = tiny_model(fusion_type=fusion, classifier_type=classifier, **EXCLUSIVE)
    with torch.inference_mode():
        logits = model(**BATCH).logits
    torch.testing.assert_close(logits.sigmoid().sum(1), torch.ones(3))
    assert logits.std() > 0.1


def test_the_model_trains_on_the_softmax():
    model, labels = tiny_model(**EXCLUSIVE), torch.eye(5)[:3]
    output = model(**BATCH, labels=labels)
    expected = -output.logits.sigmoid().log().diagonal().mean()
    torch.testing.assert_close(output.loss_classification, expected)
    output.loss.backward()
    assert model.classifier.fc2.weight.grad.abs().max() > 0


def test_scans_in_any_combination_have_the_same_logits_as_the_whole_model():
    model = tiny_model(fusion_type="mean", **EXCLUSIVE)
    with torch.inference_mode():
        scans = model.encode_scans(BATCH["pixel_values"], BATCH["slice_counts"]).scan_embeddings
        found = model.classify_scans(scans, BATCH["modality_slots"], BATCH["scan_counts"])
        torch.testing.assert_close(found, model(**BATCH).logits)


def test_a_label_that_stands_alone_is_refused():
    model = tiny_model(classifier_type="knowledge", **EXCLUSIVE)
    with pytest.raises(LabelTextError, match="one label is named"):
        model.set_label_texts(["LABEL_0"])


def test_a_saved_model_stays_exclusive(tmp_path):
    model = tiny_model(**EXCLUSIVE)
    model.save_pretrained(tmp_path)
    again = RadDiagForImageClassification.from_pretrained(tmp_path)
    with torch.inference_mode():
        torch.testing.assert_close(again(**BATCH).logits, model(**BATCH).logits)


def test_a_new_classifier_starts_at_the_share_of_each_label():
    config = tiny_config(train_label_counts=[0, 1, 2, 3, 4], num_train_cases=10, **EXCLUSIVE)
    model = RadDiagForImageClassification(config)
    shares = (torch.arange(5) + 0.5) / 12.5
    torch.testing.assert_close(model.classifier.fc2.bias.softmax(0), shares)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"problem_type": "regression"}, "problem_type is 'regression', expected one of"),
        ({"problem_type": None}, "problem_type is None"),
        (EXCLUSIVE | {"classification_loss": "focal"}, "classification_loss is 'focal'"),
        (EXCLUSIVE | {"fusion_type": "max"}, "fusion_type is 'max'"),
        (EXCLUSIVE | {"num_labels": 1}, "requires `num_labels > 1`"),
    ],
)
def test_what_makes_no_softmax_is_refused(fields, message):
    with pytest.raises((StrictDataclassError, ValueError)) as refusal:
        tiny_config(**fields)
    assert message in str(refusal.value.__cause__ or refusal.value)
