"""The demo, on a few phantoms: everything that it promises is there."""

import json

import pydicom
import pytest

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.data.opening import open_cases
from raddiag_hf.demo.demo_run import run_demo
from raddiag_hf.demo.demo_settings import DemoSettings
from tests.fixtures.folders import contents


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    steps = []
    settings = DemoSettings(
        train_cases=64, validation_cases=64, test_cases=32, num_epochs=1.0, seed=3
    )
    folder = tmp_path_factory.mktemp("demo")
    result = run_demo(folder, settings, lambda *step: steps.append(step))
    return result, steps


def test_it_writes_report_model_case_and_metrics(demo):
    result, _ = demo
    page = result.report.read_text()
    assert "phantoms only" in page
    assert "not a medical device" in page
    assert page.count("<img") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "")
    metrics = json.loads((result.report.parent / "evaluation" / "metrics.json").read_text())
    assert metrics["num_cases"] == 32
    assert metrics["threshold_source"] == "given"


def test_what_no_demo_made_is_refused_and_left_as_it_was(tmp_path):
    for name in ("model/weights.safetensors", "cases/hospital.parquet", "case/scan.dcm"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        run_demo(tmp_path)
    assert contents(tmp_path) == before


def test_the_phantom_case_has_several_scans_and_a_disorder(demo):
    result, _ = demo
    case, diagnosis = result.diagnoses[0]
    assert len(case.scans) > 2
    assert len({scan.modality for scan in case.scans}) > 1
    assert case.known_labels
    assert "Normal" not in case.known_labels
    assert sum(scan.share for scan in diagnosis.scans) == pytest.approx(1)


def test_the_real_study_has_radiographs_and_ct(demo):
    result, _ = demo
    modalities = [{str(s.modality) for s in case.scans} for case, _ in result.diagnoses[1:]]
    assert modalities == [{"CT"}, {"MRI"}, {"X-ray", "CT"}]


def test_the_saved_model_carries_thresholds_and_labels(demo):
    result, _ = demo
    config = load_model(str(result.model_dir), device="cpu").model.config
    assert len(config.decision_thresholds) == config.num_labels == 13
    assert "validation" in config.decision_threshold_source
    assert config.id2label[0] == "Normal"
    assert config.label_set_fingerprint


def test_the_data_set_lies_beside_the_model_and_has_the_diagnosed_case(demo):
    result, _ = demo
    test = open_cases(result.cases_dir, ["test"])["test"]
    assert len(test) == 32
    case, _ = result.diagnoses[0]
    study = pydicom.dcmread(next(result.case_dir.rglob("*.dcm")))
    row = test.patient_ids.index(study.PatientID)
    names = test.label_set.decode(test.labels[row])
    assert sorted(names) == sorted(case.known_labels)


def test_progress_is_reported(demo):
    _, steps = demo
    training = [(done, total) for what, done, total in steps if what == "Training"]
    assert training == [(n, 8) for n in range(1, 9)]
