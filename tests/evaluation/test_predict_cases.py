"""Predictions of a split: what the model answers, however often and by whomever it is asked."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raddiag_hf.checkpoints.loaded_model import model_fingerprint
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.run_folder import RunFolderError, RunInProgressError
from raddiag_hf.data.model_labels import LabelMismatchError
from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.evaluation import predict_cases as module
from raddiag_hf.evaluation.evaluation_settings import EvaluationInputError, PredictionSettings
from raddiag_hf.evaluation.predict_cases import predict_cases
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.labels.label_set import LabelSet
from tests.fixtures.cases import make_case
from tests.fixtures.evaluation_data import save_evaluation_model, write_evaluation_data

ALONE = PredictionSettings(num_workers=0)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(module, "CASES_PER_BLOCK", 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    write_evaluation_data(folder / "data")
    save_evaluation_model(folder / "model")
    return folder


@pytest.fixture(scope="module")
def loaded(folder):
    return load_model(str(folder / "model"), device="cpu")


@pytest.fixture(scope="module")
def cases(folder, loaded):
    return open_cases(folder / "data", ["test"], config=loaded.model.config)["test"]


@pytest.fixture(scope="module")
def expected(folder, loaded, cases) -> PredictionTable:
    path = folder / "expected" / "predictions.parquet"
    predict_cases(loaded, cases, path, ALONE)
    return PredictionTable.read(path)


def predicted(path: Path) -> PredictionTable:
    assert not path.with_name(f"{path.stem}.parts").exists()
    return PredictionTable.read(path)


def assert_same(found: PredictionTable, table: PredictionTable) -> None:
    for name in ("case_ids", "patient_ids", "anatomies", "modalities", "label_names"):
        assert getattr(found, name) == getattr(table, name)
    np.testing.assert_array_equal(found.labels, table.labels)
    # threads share out sums as they come free, which rounds the last bit one way or the other
    np.testing.assert_allclose(found.logits, table.logits, atol=2e-6)


def test_every_case_has_the_answer_of_its_own_forward_pass(loaded, expected):
    assert expected.case_ids == tuple(f"case-{number}" for number in range(200, 240))
    for row, number in enumerate(range(200, 240)):
        case = make_case(number)
        batch = loaded.processor(
            [one.scan.volume for one in case.scans], [one.scan.modality for one in case.scans]
        )
        with torch.no_grad():
            logits = loaded.model(**batch).logits[0]
        torch.testing.assert_close(torch.tensor(expected.logits[row]), logits)
        assert expected.patient_ids[row] == case.patient_id
        assert expected.labels[row].tolist() == [number % 3 == column for column in range(3)]
        assert set(expected.modalities[row]) == {one.scan.modality.value for one in case.scans}
    assert set(expected.anatomies) == {"Chest", "Lower limb", None}


def test_worker_processes_and_batches_change_nothing(tmp_path, loaded, cases, expected):
    settings = PredictionSettings(batch_slices=1, num_workers=2)
    predict_cases(loaded, cases, tmp_path / "p.parquet", settings)
    found = predicted(tmp_path / "p.parquet")
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)


class Killed(BaseException):
    """Stands for a signal."""


def test_a_killed_run_is_resumed(tmp_path, loaded, cases, expected):
    path = tmp_path / "p.parquet"

    def kill(step, done, total):
        if done > 20:
            raise Killed

    with pytest.raises(Killed):
        predict_cases(loaded, cases, path, ALONE, kill)
    assert not path.exists()
    assert len(list((tmp_path / "p.parts").glob("*.parquet"))) == 2
    counts = []
    predict_cases(loaded, cases, path, ALONE, lambda _, done, total: counts.append((done, total)))
    assert counts[-1] == (24, 24)
    assert_same(predicted(path), expected)


def test_a_finished_file_is_not_computed_again(folder, loaded, cases, expected):
    path = folder / "expected" / "predictions.parquet"
    before = path.stat().st_mtime_ns
    path.with_name("predictions.parts").mkdir()
    predict_cases(loaded, cases, path, ALONE, lambda *_: pytest.fail("computed again"))
    assert path.stat().st_mtime_ns == before
    assert not path.with_name("predictions.parts").exists()


def test_predictions_of_another_model_are_refused_until_they_may_go(
    tmp_path, folder, loaded, cases, expected
):
    path = tmp_path / "p.parquet"
    shutil.copy(folder / "expected" / "predictions.parquet", path)
    other = load_model(str(save_evaluation_model(tmp_path / "other", seed=1)), device="cpu")
    with pytest.raises(
        RunFolderError, match=r"p.parquet: holds a run that differs in model;"
    ) as refused:
        predict_cases(other, cases, path, ALONE)
    assert f"predictions of {loaded.model_id} (" in str(refused.value)
    assert f"expected {other.model_id} (" in str(refused.value)
    assert "--overwrite" in str(refused.value)
    assert_same(predicted(path), expected)
    predict_cases(other, cases, path, replace(ALONE, overwrite=True))
    assert not np.allclose(predicted(path).logits, expected.logits)


def test_blocks_of_another_split_are_refused(tmp_path, folder, loaded, cases, expected):
    other = open_cases(folder / "data", ["validation"], config=loaded.model.config)["validation"]
    (tmp_path / "p.parts").mkdir()
    shutil.copy(
        folder / "expected" / "predictions.parquet", tmp_path / "p.parts" / "cases-0-8.parquet"
    )
    with pytest.raises(RunFolderError, match="differs in data set or split"):
        predict_cases(loaded, other, tmp_path / "p.parquet", ALONE)


def test_two_evaluations_do_not_predict_into_one_file_at_once(tmp_path, loaded, cases):
    path = tmp_path / "p.parquet"

    def start_another(step, done, total):
        with pytest.raises(RunInProgressError, match=r"p\.parquet: another run is at work there"):
            predict_cases(loaded, cases, path, ALONE)
        raise Killed

    with pytest.raises(Killed):
        predict_cases(loaded, cases, path, ALONE, start_another)
    predict_cases(loaded, cases, path, ALONE)
    assert len(predicted(path)) == len(cases)


def test_a_fingerprint_changes_with_what_changes_logits_only(folder, loaded):
    fingerprint = model_fingerprint(loaded)
    config = loaded.model.config
    config.decision_thresholds, config.calibration_temperature = [0.1, 0.2, 0.3], 2.0
    assert model_fingerprint(loaded) == fingerprint
    config.decision_thresholds, config.calibration_temperature = None, 1.0
    again = load_model(str(folder / "model"), device="cpu", encoder_chunk_size=3)
    assert model_fingerprint(again) == fingerprint
    half = load_model(str(folder / "model"), device="cpu", dtype=torch.bfloat16)
    assert model_fingerprint(half) != fingerprint
    again.model.config.fusion_type = "max"
    assert model_fingerprint(again) != fingerprint


def test_bfloat16_predicts_about_the_same(tmp_path, folder, cases, expected):
    half = load_model(str(folder / "model"), device="cpu", dtype=torch.bfloat16)
    predict_cases(half, cases, tmp_path / "p.parquet", ALONE)
    found = predicted(tmp_path / "p.parquet")
    assert found.logits.dtype == np.float32
    assert np.abs(found.logits - expected.logits).max() < 0.1 * expected.logits.std()


def test_a_damaged_scan_is_named(tmp_path, folder, loaded, cases):
    rows = list(cases.rows)
    rows[9]["scans"][0]["volume"]["data"] = b"damaged"
    damaged = type(cases.rows).from_list(rows, features=cases.features)
    broken = replace(cases, rows=damaged)
    for workers in (0, 1):
        with pytest.raises(EvaluationInputError, match=r"data: case 'case-209': scan 'scan-2090'"):
            predict_cases(
                loaded, broken, tmp_path / "p.parquet", PredictionSettings(num_workers=workers)
            )


def test_a_model_of_other_labels_is_refused(tmp_path, folder):
    labels = LabelSet(("Normal", "Gout", "Pneumothorax"))
    other = load_model(str(save_evaluation_model(tmp_path / "other", labels)), device="cpu")
    with pytest.raises(LabelMismatchError, match="column 1: 'Gout' in the model"):
        open_cases(folder / "data", ["test"], config=other.model.config)


def test_two_folders_of_one_name_are_not_mistaken_for_each_other(tmp_path, cases, loaded):
    def build(number):
        return BuiltCase(make_case(number, patient_id=f"somebody-{number}"))

    write_evaluation_data(tmp_path / "data", build_case=build)
    other = open_cases(tmp_path / "data", ["test"], config=loaded.model.config)["test"]
    assert other.metadata.case_ids == cases.metadata.case_ids
    assert other.metadata.patient_ids[0] == "somebody-200"
    assert other.fingerprint != cases.fingerprint


def test_answers_beyond_reason_are_refused_by_case(tmp_path, folder, cases):
    damaged = load_model(str(folder / "model"), device="cpu")
    damaged.model.classifier.fc2.bias.data[0] = 1.25e13
    with pytest.raises(EvaluationInputError, match=r"case '.*has a logit of 1\.25e\+13.*damaged"):
        predict_cases(damaged, cases, tmp_path / "predictions.parquet", ALONE)
    assert not (tmp_path / "predictions.parquet").exists()
