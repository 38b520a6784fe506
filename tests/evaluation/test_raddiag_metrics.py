"""The metrics load as an ``evaluate`` module from their folder."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from raddiag_hf.metrics import evaluate_predictions
from tests.fixtures.predictions import long_tailed

evaluate = pytest.importorskip("evaluate")


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = str(files("raddiag_hf.evaluation") / "raddiag_metrics")
    return evaluate.load(folder, cache_dir=str(tmp_path))


def test_module_gives_the_same_means_from_batches(metrics: object) -> None:
    labels, logits = long_tailed(cases=40, classes=30, seed=0)
    for rows in (slice(0, 25), slice(25, 40)):
        metrics.add_batch(predictions=logits[rows], references=labels[rows])  # type: ignore[attr-defined]
    found = metrics.compute(thresholds="oracle", groups={"head": [0, 1]})  # type: ignore[attr-defined]
    expected = evaluate_predictions(labels, logits, thresholds="oracle", groups={"head": [0, 1]})
    for name, value in expected.groups["all"].values.items():
        assert found[name] == value
    assert found["head_auc"] == expected.groups["head"].values["auc"]
    absent = int((~labels.any(axis=0)).sum())
    assert absent > 0
    assert found["classes_without_positives"] == absent
    assert found["evaluated_classes"] == 30 - absent


def test_module_offers_the_official_mode(metrics: object) -> None:
    found = metrics.compute(  # type: ignore[attr-defined]
        references=np.array([[1], [0], [0]]),
        predictions=np.array([[40.0], [30.0], [0.0]], dtype=np.float32),
        mode="official",
    )
    assert found["auc"] == 0.75
