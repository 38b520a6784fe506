"""Fine-tuning and evaluation where half of the cases do not say whether they have one label."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.evaluation.evaluation_run import evaluate_model
from raddiag_hf.evaluation.evaluation_settings import EvaluationSettings, PredictionSettings
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.evaluation.report.evaluation_report import class_tables
from raddiag_hf.metrics import BootstrapSettings
from raddiag_hf.training.finetune_settings import FinetuneError, FinetuneSettings, Method
from raddiag_hf.training.finetuning import finetune
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, numbered, write_store
from tests.fixtures.finetuning import visible_case
from tests.fixtures.saved_models import save_tiny_model

HALF_KNOWN = 1
"""The label of which half of the cases say nothing."""
FAST = {"num_workers": 0, "device": "cpu"}
FULL = {"augmentation": "none", "num_epochs": 6, "batch_size": 12, "layer_decay": 1.0}
SETTINGS = [
    FinetuneSettings(Method.LINEAR_PROBE, **FAST),
    FinetuneSettings(Method.ATTENTIVE_PROBE, **FAST),
    FinetuneSettings(Method.FULL, learning_rate=1e-2, **FAST, **FULL),
]


def is_unknown(number):
    return number // 3 % 2 == 1


def partly_labelled_case(number):
    case = visible_case(number).case
    name = LABELS.names[HALF_KNOWN]
    if is_unknown(number):
        labels = tuple(label for label in case.labels["labels"] if label != name)
        case = replace(case, labels={"labels": labels}, unknown_labels={"labels": (name,)})
    return BuiltCase(case)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "cases"
    starts = {Split.TRAIN: 0, Split.VALIDATION: 72, Split.TEST: 108}
    sizes = {Split.TRAIN: 72, Split.VALIDATION: 36, Split.TEST: 36}
    items = {one: numbered(range(start, start + sizes[one])) for one, start in starts.items()}
    write_store(folder, items, build_case=partly_labelled_case, unknown_in=("labels",))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def tuned(base, data, tmp_path_factory):
    """The record and the folder of each method."""
    return {
        one.method: (finetune(str(base), data, folder, one), folder)
        for one in SETTINGS
        for folder in [tmp_path_factory.mktemp(one.method) / "out"]
    }


@pytest.mark.parametrize("method", [one.method for one in SETTINGS])
def test_a_label_is_learnt_and_measured_on_the_cases_where_it_is_known(tuned, data, method):
    record, output = tuned[method]
    table = record.metrics["classes"]
    assert table["known_cases"] == [36, 18, 36]
    assert table["positives"] == [12, 6, 12]
    assert table["auc"][HALF_KNOWN] > 0.85
    config = load_model(str(output), device="cpu").model.config
    assert config.train_label_counts == [24, 12, 24]
    assert config.train_known_counts == [72, 36, 72]
    assert not config.has_exclusive_labels
    (note,) = [note for note in record.notes if "unknown" in note]
    assert note.startswith("of 72 cases some labels are unknown")
    card = (output / "README.md").read_text()
    assert "| Pneumothorax | 12 of 36 known | 6 of 18 known |" in card
    assert "| Normal | 24 | 12 |" in card


def test_an_evaluation_writes_what_is_unknown_and_counts_it_nowhere(tuned, data, tmp_path):
    output = tuned[Method.LINEAR_PROBE][1]
    settings = EvaluationSettings(
        bootstrap=BootstrapSettings(resamples=20),
        calibrate_on=Split.VALIDATION,
        min_positives=5,
        prediction=PredictionSettings(num_workers=0),
    )
    found = evaluate_model(
        load_model(str(output), device="cpu"), data, "test", tmp_path / "out", settings
    )
    table = PredictionTable.read(tmp_path / "out" / "predictions.parquet")
    numbers = [int(case.removeprefix("case-")) for case in table.case_ids]
    known = np.array([not is_unknown(number) for number in numbers])
    np.testing.assert_array_equal(table.unknown[:, HALF_KNOWN], ~known)
    assert table.unknown.sum() == 18
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").column("unknown_labels")
    assert rows.to_pylist() == [[] if one else [HALF_KNOWN] for one in known]
    truth = np.array(numbers)[known] % 3 == HALF_KNOWN
    logits = table.logits[known, HALF_KNOWN]
    assert found.result.per_class["auc"][HALF_KNOWN] == roc_auc_score(truth, logits)
    predicted = found.rule.decide(table.logits)[known, HALF_KNOWN]
    f1 = found.result.per_class["f1"][HALF_KNOWN]
    assert f1 == pytest.approx(f1_score(truth, predicted))
    assert found.reliability["equal_width"].counts.sum() == 3 * 36 - 18
    assert any(one.startswith("Of 18 test cases some labels are unknown") for one in found.warnings)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["classes"]["known_cases"] == [36, 18, 36]
    positives = {row[0]: row[1] for row in class_tables(found.result)[0].rows}
    assert positives[LABELS.names[HALF_KNOWN]] == "6\nof 18"


def test_unknown_labels_exclude_no_other(base, data, tmp_path):
    assert not open_cases(data).is_exclusive
    settings = FinetuneSettings(Method.LINEAR_PROBE, exclusive=True, **FAST)
    with pytest.raises(FinetuneError, match="no label or several, or of unknown ones"):
        finetune(str(base), data, tmp_path / "out", settings)
