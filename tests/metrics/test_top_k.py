"""Recall among the most probable labels of a case."""

import numpy as np
import pytest
from hypothesis import given, settings

from raddiag_hf.metrics.bootstrap_settings import BootstrapSettings
from raddiag_hf.metrics.top_k import top_k_recall
from tests.fixtures.predictions import Predictions, any_predictions


@settings(deadline=None)
@given(any_predictions())
def test_it_is_the_mean_share_of_labels_found(predictions: Predictions) -> None:
    labels, logits = predictions
    found = top_k_recall(labels, logits, sizes=(1, 2))
    shares = {1: [], 2: []}
    for present, scores in zip(labels, logits, strict=True):
        order = sorted(range(len(scores)), key=lambda column: -scores[column])
        if present.any():
            for size, of_size in shares.items():
                of_size.append(present[order[:size]].sum() / present.sum())
    sizes = [size for size in (1, 2) if size < labels.shape[1]]
    if not sizes or not shares[1]:
        assert found is None
        return
    assert found.sizes == tuple(sizes)
    assert found.num_cases == len(shares[1])
    np.testing.assert_allclose(found.recalls, [np.mean(shares[size]) for size in sizes])


def test_unknown_labels_are_in_no_list() -> None:
    labels = [[np.nan, 1, 0], [0, 0, 0]]
    found = top_k_recall(labels, [[9.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    assert (found.num_cases, found.recalls) == (1, (1.0,))


def test_intervals_are_of_cases_that_have_a_label() -> None:
    generator = np.random.default_rng(0)
    labels = generator.random((200, 6)) < 0.2
    found = top_k_recall(labels, generator.normal(size=labels.shape), bootstrap=BootstrapSettings())
    for low, recall, high in zip(found.lows, found.recalls, found.highs, strict=True):
        assert low < recall < high
        assert high - low == pytest.approx(0.13, abs=0.05)
    assert found.describe().startswith("Of a case's labels, ")
