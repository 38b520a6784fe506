"""A training that learns nothing is told half-way; one that ranks well, or of few cases, is not."""

from types import SimpleNamespace

import numpy as np
import pytest

from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.training.methods.weights import _StallWarning
from raddiag_hf.vocabulary import Split

FEW, ENOUGH = 6, 40


def warned(caplog, evaluations, num_validation=ENOUGH):
    """Whether a warning is given after validation losses and AUCs, at equal steps of a run."""
    labels = np.eye(2, dtype=np.float32)[np.arange(num_validation) % 2]
    data = {
        Split.TRAIN: SimpleNamespace(known_counts=[100, 100]),
        Split.VALIDATION: SimpleNamespace(labels=labels),
    }
    splits = type("Splits", (dict,), {"label_set": LabelSet(("Normal", "Fracture"))})(data)
    splits.label_set = splits.label_set.with_counts({Split.TRAIN: [50, 50]})
    callback = _StallWarning(splits, exclusive=False)
    for step, (loss, auc) in enumerate(evaluations, 1):
        state = SimpleNamespace(global_step=step, max_steps=len(evaluations))
        callback.on_evaluate(None, state, None, {"eval_loss": loss, "eval_auc": auc})
    return "the loss on validation was never below" in caplog.text


@pytest.mark.parametrize("auc", [0.5, 0.6, float("nan")])
def test_a_loss_that_never_falls_is_told_where_cases_are_ranked_by_chance(caplog, auc):
    assert warned(caplog, [(0.7, auc)] * 4)


def test_a_training_that_ranks_cases_well_is_left_in_peace(caplog):
    assert not warned(caplog, [(0.7, 0.5), (0.7, 0.89), (0.7, 0.89), (0.7, 0.89)])


def test_a_loss_that_fell_is_left_in_peace(caplog):
    assert not warned(caplog, [(0.6, 0.5), (0.7, 0.5), (0.7, 0.5), (0.7, 0.5)])


def test_few_validation_cases_say_nothing_about_the_loss(caplog):
    assert not warned(caplog, [(0.7, 0.5)] * 4, num_validation=FEW)
