"""What is said of trainings that cannot have worked, and that good ones are left in peace."""

import numpy as np
import pytest
import torch

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.exclusive_labels import softmax_log_odds
from raddiag_hf.training.known_failures import (
    find_data_failures,
    find_model_failures,
    prevalence_loss,
)
from raddiag_hf.vocabulary import Split

NAMES = ("Normal", "Fracture", "Nodule")


class Data(dict):
    """Splits as the check reads them: sizes, validation labels, training counts."""

    def __init__(self, num_train=300, counts=(150, 100, 50), num_validation=60):
        labels = np.eye(3, dtype=np.float32)[np.arange(num_validation) % 3]
        validation = type("Validation", (), {"labels": labels})()
        train = type("Train", (list,), {"known_counts": [num_train] * 3})(range(num_train))
        super().__init__({Split.TRAIN: train, Split.VALIDATION: validation})
        self.label_set = LabelSet(NAMES).with_counts({Split.TRAIN: list(counts)})


def failures(data, logits, method="full", **options):
    found = find_data_failures(data, is_from_scratch=method == "full")
    return found + find_model_failures(data, logits, method=method, **options)


def good_logits(data, noise=1.0):
    labels = data[Split.VALIDATION].labels
    random = np.random.default_rng(0)
    return (4 * labels - 2 + random.normal(0, noise, labels.shape)).astype(np.float32)


def test_nothing_is_said_of_a_model_that_learnt():
    data = Data()
    assert failures(data, good_logits(data)) == []


def test_boldness_alone_is_no_failure():
    """Overconfident logits lose against prevalence before calibration, not after."""
    data = Data()
    assert failures(data, 30 * good_logits(data, noise=2.0)) == []


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_the_same_answer_for_all_cases_is_told(value):
    data = Data()
    constant = np.tile(np.float32([value, value + 1, value + 2]), (60, 1))
    (message,) = failures(data, constant)
    assert message.startswith("the model gives all validation cases the same answer")
    assert "learning rate" in message


@pytest.mark.parametrize("method", ["linear-probe", "attentive-probe"])
def test_a_probe_is_not_told_to_change_what_it_does_not_have(method):
    data = Data(num_train=40, counts=(15, 15, 10))
    noise = np.random.default_rng(1).normal(0, 1, (60, 3)).astype(np.float32)
    for logits in (noise, np.zeros((60, 3), np.float32)):
        few, told = failures(data, logits, method=method)
        assert few.startswith("there are 40 training cases, fewer than 50")
        assert few.endswith("; collect more")
        assert "lora, full" in told
        assert not any(word in told for word in ("learning rate", "epochs", "batch norm"))


def test_exclusive_labels_are_measured_by_one_answer_for_each_case():
    data = Data()
    noise = np.random.default_rng(1).normal(0, 0.3, (60, 3)).astype(np.float32)
    log_odds = softmax_log_odds(torch.tensor(noise)).numpy()
    (message,) = failures(data, log_odds, exclusive=True)
    assert message.startswith("on validation the model is no better than the frequency")
    learnt = softmax_log_odds(torch.tensor(good_logits(data))).numpy()
    assert failures(data, learnt, exclusive=True) == []


def test_unknown_labels_hide_no_failure():
    data = Data()
    data[Split.VALIDATION].labels[:20, 2] = np.nan
    noise = np.random.default_rng(1).normal(0, 1, (60, 3)).astype(np.float32)
    (message,) = failures(data, noise)
    assert message.startswith("on validation the model is no better than the frequency")
    assert failures(data, good_logits(Data())) == []


def test_noise_is_no_better_than_prevalence():
    data = Data()
    noise = np.random.default_rng(1).normal(0, 1, (60, 3)).astype(np.float32)
    (message,) = failures(data, noise)
    assert message.startswith("on validation the model is no better than the frequency")


def test_few_cases_and_few_positives_are_told():
    data = Data(num_train=20, counts=(12, 5, 0))
    few, absent, rare = failures(data, good_logits(data))
    assert few.startswith("there are 20 training cases, fewer than 50")
    assert absent.startswith("no training case has Nodule: ")
    assert rare.startswith("fewer than 10 training cases have Fracture: ")


def test_labels_without_negatives_are_told_and_unknown_ones_are_none():
    data = Data(counts=(300, 100, 50))
    (message,) = failures(data, good_logits(data))
    assert message.startswith("no training case is without Normal: ")
    data[Split.TRAIN].known_counts = [300, 100, 300]
    (message,) = failures(data, good_logits(data))
    assert message.startswith("no training case is without Normal, Fracture: ")


def test_where_no_label_tells_cases_apart_the_pixels_are_not_blamed():
    data = Data(counts=(300, 300, 0))
    constant = np.tile(np.float32([4, 4, -4]), (60, 1))
    absent, every, same = failures(data, constant, method="linear-probe")
    assert every.startswith("no training case is without Normal, Fracture: ")
    assert absent.startswith("no training case has Nodule: ")
    assert same.startswith("the model gives all validation cases the same answer")
    assert same.endswith("no label tells training cases apart; add cases with and without each")


def test_labels_without_validation_cases_are_told():
    data = Data(num_validation=2)
    messages = failures(data, good_logits(data))
    assert [one for one in messages if one.startswith("no validation case has Nodule")]


def test_without_validation_only_the_training_cases_are_judged():
    data = Data(num_train=1)
    del data[Split.VALIDATION]
    (few,) = find_data_failures(data, is_from_scratch=True)
    assert few.startswith("there is 1 training case, fewer than 50")
    assert few.endswith("collect more, or start from a model or backbone")


def test_prevalence_loss_is_that_of_telling_each_labels_frequency():
    labels = np.array([[1.0], [0.0], [0.0], [0.0]])
    share = 25.5 / 101
    expected = -(np.log(share) + 3 * np.log(1 - share)) / 4
    assert prevalence_loss(labels, np.array([25]), np.array([100])) == pytest.approx(expected)


def test_unknown_labels_count_neither_in_the_prevalence_nor_in_its_loss():
    labels = np.array([[1.0, np.nan], [0.0, 1.0], [np.nan, np.nan]])
    loss = prevalence_loss(labels, np.array([25, 40]), np.array([100, 50]))
    cells = [np.log(25.5 / 101), np.log(1 - 25.5 / 101), np.log(40.5 / 51)]
    assert loss == pytest.approx(-np.mean(cells))
    data = Data()
    validation = data[Split.VALIDATION].labels
    logits = good_logits(data)
    validation[:20, 2] = np.nan
    assert failures(data, logits) == []
    validation[:, 2] = np.nan
    (message,) = failures(data, logits)
    assert message.startswith("no validation case has Nodule")
