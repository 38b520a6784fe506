"""What is said of trainings that cannot have worked, and that good ones are left in peace."""

import numpy as np
import pytest

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.known_failures import find_failures, prevalence_loss
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


def good_logits(data, noise=1.0):
    labels = data[Split.VALIDATION].labels
    random = np.random.default_rng(0)
    return (4 * labels - 2 + random.normal(0, noise, labels.shape)).astype(np.float32)


def test_nothing_is_said_of_a_model_that_learnt():
    data = Data()
    assert find_failures(data, good_logits(data)) == []


def test_boldness_alone_is_no_failure():
    """Overconfident logits lose against prevalence before calibration, not after."""
    data = Data()
    assert find_failures(data, 30 * good_logits(data, noise=2.0)) == []


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_the_same_answer_for_all_cases_is_told(value):
    data = Data()
    constant = np.tile(np.float32([value, value + 1, value + 2]), (60, 1))
    (message,) = find_failures(data, constant)
    assert message.startswith("the model gives all validation cases the same answer")
    assert "learning rate" in message


def test_noise_is_no_better_than_prevalence():
    data = Data()
    noise = np.random.default_rng(1).normal(0, 1, (60, 3)).astype(np.float32)
    (message,) = find_failures(data, noise)
    assert message.startswith("on validation the model is no better than the frequency")


def test_few_cases_and_few_positives_are_told():
    data = Data(num_train=20, counts=(12, 5, 0))
    few, absent, rare = find_failures(data, good_logits(data))
    assert few.startswith("there are 20 training cases, fewer than 50")
    assert absent.startswith("no training case has Nodule: ")
    assert rare.startswith("fewer than 10 training cases have Fracture: ")


def test_labels_without_validation_cases_are_told():
    data = Data(num_validation=2)
    messages = find_failures(data, good_logits(data))
    assert [one for one in messages if one.startswith("no validation case has Nodule")]


def test_without_validation_only_the_training_cases_are_judged():
    assert find_failures(Data(), None) == []


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
    assert find_failures(data, logits) == []
    validation[:, 2] = np.nan
    (message,) = find_failures(data, logits)
    assert message.startswith("no validation case has Nodule")
