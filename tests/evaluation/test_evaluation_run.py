"""From a model and a data set to metrics: thresholds from validation, and what is written."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import f1_score, roc_auc_score

from raddiag_hf import RadDiagConfig, RadDiagForImageClassification
from raddiag_hf.checkpoints.loaded_model import LabelTextsMissingError
from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core import run_folder
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.run_folder import RunFolderError, RunInProgressError
from raddiag_hf.data.model_labels import LabelMismatchError
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.evaluation.evaluation_comparison import compare_evaluations
from raddiag_hf.evaluation.evaluation_run import evaluate_model
from raddiag_hf.evaluation.evaluation_settings import (
    EvaluationInputError,
    EvaluationSettings,
    LateFusion,
    PredictionSettings,
)
from raddiag_hf.evaluation.figures.curve_figures import draw_roc
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.evaluation.report.evaluation_report import render_evaluation_report
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.labels.bands import CountedCases
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.metrics import (
    BootstrapSettings,
    choose_f1_thresholds,
    evaluate_predictions,
    fit_temperature,
)
from raddiag_hf.metrics.decision_rule import choose_decision_rule
from raddiag_hf.metrics.threshold_rule import ThresholdRule
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, make_case, numbered, write_store
from tests.fixtures.evaluation_data import (
    build_case,
    save_evaluation_model,
    write_evaluation_data,
)
from tests.fixtures.folders import contents
from tests.fixtures.prediction_tables import make_predictions

QUICK = EvaluationSettings(
    bootstrap=BootstrapSettings(resamples=30),
    head_from=4,
    tail_below=2,
    min_positives=5,
    prediction=PredictionSettings(num_workers=0),
)
CALIBRATED = replace(QUICK, calibrate_on=Split.VALIDATION)


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
def evaluation(folder, loaded):
    return evaluate_model(loaded, folder / "data", "test", folder / "out", CALIBRATED)


def unlabelled_case(number):
    """Every fourth case, and all beyond 220, are of unknown labels."""
    case = build_case(number).case
    if number % 4 == 0 or number > 220:
        case = replace(case, labels={"labels": ()}, unknown_labels={"labels": LABELS.names})
    return BuiltCase(case)


def test_cases_of_unknown_labels_are_not_measured(loaded, tmp_path):
    data = write_evaluation_data(
        tmp_path / "data", build_case=unlabelled_case, unknown_in=("labels",)
    )
    found = evaluate_model(loaded, data, "test", tmp_path / "out", CALIBRATED)
    assert found.result.num_cases == 15
    assert found.result.positives.sum() == 15
    assert "34 cases were left out, of which no label is known." in found.warnings


def test_a_split_of_unknown_labels_is_not_replaced_by_thresholds_of_the_model(loaded, tmp_path):
    data = tmp_path / "data"
    splits = {Split.VALIDATION: numbered([100, 104]), Split.TEST: numbered(range(200, 210))}
    write_store(data, splits, build_case=unlabelled_case, unknown_in=("labels",))
    with pytest.raises(EvaluationInputError, match="labelled any of the validation cases"):
        evaluate_model(loaded, data, "test", tmp_path / "out", CALIBRATED)


def test_thresholds_come_from_validation_cases_alone(folder, evaluation):
    validation = PredictionTable.read(folder / "out" / "calibration_predictions.parquet")
    assert set(validation.case_ids) == {f"case-{number}" for number in range(100, 136)}
    rule = choose_decision_rule(validation.labels, validation.logits, min_positives=5)
    np.testing.assert_array_equal(evaluation.result.thresholds, rule.thresholds)
    assert evaluation.rule.temperature == rule.temperature
    assert "36 validation cases" in evaluation.rule.source


def test_metrics_are_those_of_the_test_cases_under_these_thresholds(folder, evaluation):
    table = PredictionTable.read(folder / "out" / "predictions.parquet")
    assert set(table.case_ids) == {f"case-{number}" for number in range(200, 240)}
    auc = [roc_auc_score(table.labels[:, i], table.logits[:, i]) for i in range(3)]
    np.testing.assert_allclose(evaluation.result.per_class["auc"], auc)
    predicted = evaluation.rule.decide(table.logits)
    f1 = [f1_score(table.labels[:, i], predicted[:, i]) for i in range(3)]
    np.testing.assert_allclose(evaluation.result.per_class["f1"], f1)


def test_the_threshold_rule_is_named_and_the_note_of_the_table_says_which(
    folder, evaluation, loaded, tmp_path
):
    settings = EvaluationSettings(
        calibrate_on=Split.VALIDATION,
        threshold_rule=ThresholdRule.F1,
        bootstrap=BootstrapSettings(resamples=0),
        prediction=PredictionSettings(num_workers=0),
    )
    evaluate_model(loaded, folder / "data", "test", tmp_path / "out", settings)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "Thresholds: highest F1 of each class (the paper's rule) on 36 validation" in table
    assert "Thresholds: highest F1 on 36" in (folder / "out" / "table.md").read_text()


@pytest.mark.parametrize(
    ("options", "counted", "bands"),
    [
        ({}, "training cases", ["head"] * 3),  # 4 of each
        ({"bands": CountedCases.WHOLE}, "cases of the whole data set", ["body", "body", "head"]),
        ({"official": True}, "cases of the whole data set", ["body", "body", "head"]),
        ({"official": True, "bands": CountedCases.TRAINING}, "training cases", ["head"] * 3),
    ],
)
def test_bands_go_by_the_cases_that_are_named_and_every_legend_says_which(
    folder, evaluation, loaded, tmp_path, options, counted, bands
):
    shutil.copytree(folder / "out", tmp_path / "out")
    bounds = (4, 2) if counted == "training cases" else (30, 20)
    settings = replace(QUICK, head_from=bounds[0], tail_below=bounds[1], **options)
    found = evaluate_model(loaded, folder / "data", "test", tmp_path / "out", settings)
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["classes"]["group"] == bands
    assert f"Head labels have {bounds[0]} {counted} or more" in (
        (tmp_path / "out" / "table.md").read_text()
    )
    legend = draw_roc(found.result, found.bands).legends[0].get_title().get_text()
    assert legend.endswith(f"\nHead/Medium/Tail by {counted}")
    assert f"Head labels have {bounds[0]} {counted}" in render_evaluation_report(found)


def test_evaluations_whose_bands_are_not_the_same_are_told_apart(folder, evaluation, tmp_path):
    shutil.copytree(folder / "out", tmp_path / "whole")
    content = json.loads((tmp_path / "whole" / "metrics.json").read_text())
    content["bands"] |= {"counted": "whole"}
    (tmp_path / "whole" / "metrics.json").write_text(json.dumps(content))
    notes = compare_evaluations(
        [folder / "out", tmp_path / "whole"], bootstrap=BootstrapSettings(resamples=5)
    ).notes
    assert (
        "out: Head labels have 4 training cases or more, medium ones 2 to 3, tail ones fewer "
        in (" ".join(notes))
    )
    assert any(note.startswith("whole: Head labels have 4 cases of the whole") for note in notes)


def test_recall_of_a_short_list_and_chapters_stand_beside_the_papers_metrics(folder, evaluation):
    content = json.loads((folder / "out" / "metrics.json").read_text())
    chapters = content["chapters"]
    assert chapters["group"] == ["J00-J99", "S00-T88"]  # Normal has no code
    auc = evaluation.result.per_class["auc"]
    np.testing.assert_allclose(chapters["auc"], [auc[1], auc[2]])
    assert None not in chapters["auc_low"]
    assert content["groups"]["group"] == ["head", "body", "tail", "all"]
    table = PredictionTable.read(folder / "out" / "predictions.parquet")
    found = np.take_along_axis(table.labels, table.logits.argmax(1)[:, None], 1).mean()
    assert content["top_k_recall"]["sizes"] == [1]
    assert content["top_k_recall"]["recalls"] == [pytest.approx(found)]
    assert f"Of a case's labels, {100 * found:.1f} % among 1" in (
        (folder / "out" / "table.md").read_text()
    )
    report = render_evaluation_report(evaluation)
    assert "Respiratory system" in report
    assert "of its most probable ones" in report


def test_one_scan_level_classifier_is_evaluated_by_any_pooling(folder, tmp_path):
    """Paper, section 11.2: the same weights, random picking, max and mean pooling."""
    model = save_evaluation_model(tmp_path / "model", fusion_type="mean")
    late = load_model(str(model), device="cpu")
    weights = {name: tensor.clone() for name, tensor in late.model.state_dict().items()}
    late.model.config.decision_thresholds = [0.4] * 3
    found = {}
    for how in (*LateFusion, None):
        output = tmp_path / str(how)
        evaluation = evaluate_model(
            late, folder / "data", "test", output, replace(QUICK, fusion=how)
        )
        found[how] = expit(PredictionTable.read(output / "predictions.parquet").logits)
        assert (evaluation.rule.thresholds is None) == (how in ("random", "max"))
    assert "of each case: the highest" in (tmp_path / "max" / "table.md").read_text()
    assert (found["max"] >= found["mean"] - 1e-6).all()
    assert (found["max"] >= found["random"] - 1e-6).all()
    np.testing.assert_array_equal(found[None], found["mean"])
    assert not np.allclose(found["random"], found["mean"])
    assert late.model.config.fusion_type == "mean"
    for name, tensor in late.model.state_dict().items():
        np.testing.assert_array_equal(tensor, weights[name])
    settings = replace(CALIBRATED, fusion=LateFusion.MAX, store=True)
    with pytest.raises(EvaluationInputError, match="would be stored with a model that pools"):
        evaluate_model(late, folder / "data", "test", tmp_path / "stored", settings)
    assert not (tmp_path / "stored").exists()


def test_early_fusion_has_no_predictions_of_scans_to_pool(folder, loaded, tmp_path):
    settings = replace(QUICK, fusion=LateFusion.MAX)
    with pytest.raises(EvaluationInputError, match="fuses scans by transformer before"):
        evaluate_model(loaded, folder / "data", "test", tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_positives": 5}, "min_positives is 5, but by the rule f1"),
        ({"target_fpr": 0.1}, "target_fpr is 0.1, but the threshold rule is f1"),
        ({"calibrate_on": None}, "needs the split to choose them on"),
    ],
)
def test_a_threshold_rule_that_would_not_be_followed_is_refused(options, message):
    with pytest.raises(EvaluationInputError, match=message):
        replace(
            EvaluationSettings(calibrate_on=Split.VALIDATION, threshold_rule=ThresholdRule.F1),
            **options,
        )


def test_what_is_written_can_be_read_by_a_program(folder, evaluation):
    content = json.loads((folder / "out" / "metrics.json").read_text())
    assert content["model"] == str(folder / "model")
    assert (content["split"], content["num_cases"]) == ("test", 40)
    assert content["groups"]["group"] == ["head", "body", "tail", "all"]
    assert content["classes"]["group"] == ["head"] * 3
    assert content["classes"]["threshold"] == evaluation.result.thresholds.tolist()
    assert content["bootstrap"]["resampled_unit"] == "patient"
    assert {one["name"] for one in content["breakdown"]["modality"]} == {"CT", "X-ray", "MRI"}
    assert content["reliability"]["equal_width"]["error_low"] is not None
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "calibration_predictions.parquet",
        "metrics.json",
        "predictions.parquet",
        "table.md",
        "table.tex",
    ]
    assert "| Head |" in (folder / "out" / "table.md").read_text()


def test_a_folder_that_no_evaluation_made_is_refused_and_left_as_it_was(folder, loaded, tmp_path):
    for name in ("metrics.json", "report.html", "model.safetensors", "run.json"):
        (tmp_path / name).write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        evaluate_model(loaded, folder / "data", "test", tmp_path, QUICK)
    assert contents(tmp_path) == before


OVERWRITING = replace(QUICK, prediction=PredictionSettings(num_workers=0, overwrite=True))


@pytest.mark.parametrize("settings", [QUICK, CALIBRATED, OVERWRITING])
@pytest.mark.parametrize("name", ["predictions.parquet", "calibration_predictions.parquet"])
def test_a_file_called_as_predictions_does_not_make_a_folder_ours(
    folder, loaded, tmp_path, name, settings
):
    for file in (name, "metrics.json", "report.html"):
        (tmp_path / file).write_text("years of work")
    before = contents(tmp_path)
    with pytest.raises(EvaluationInputError, match=rf"{name}: is not a table of predictions"):
        evaluate_model(loaded, folder / "data", "test", tmp_path, settings)
    assert contents(tmp_path) == before


def test_choosing_thresholds_of_another_model_leaves_an_evaluation_as_it_was(
    tmp_path, folder, loaded
):
    out = tmp_path / "out"
    evaluate_model(loaded, folder / "data", "test", out, QUICK)
    before = contents(out)
    other = load_model(str(save_evaluation_model(tmp_path / "other", seed=1)), device="cpu")
    with pytest.raises(RunFolderError, match="differs in model"):
        evaluate_model(other, folder / "data", "test", out, CALIBRATED)
    assert contents(out) == before


@pytest.mark.parametrize("split", [Split.TEST, Split.TRAIN])
def test_thresholds_are_never_chosen_on_other_than_validation_cases(split):
    with pytest.raises(EvaluationInputError, match=f"never on {split} cases"):
        EvaluationSettings(calibrate_on=split)


def test_thresholds_are_never_chosen_on_the_cases_that_are_evaluated(tmp_path, folder, loaded):
    with pytest.raises(EvaluationInputError, match="validation cases that they are evaluated on"):
        evaluate_model(loaded, folder / "data", "validation", tmp_path, CALIBRATED)
    assert list(tmp_path.iterdir()) == []


def test_choices_without_a_split_to_choose_on_are_refused():
    for options in ({"store": True}, {"target_fpr": 0.1}):
        with pytest.raises(EvaluationInputError, match="needs the split to choose them on"):
            EvaluationSettings(**options)


def test_stored_thresholds_and_temperature_are_what_diagnose_uses(tmp_path, folder, monkeypatch):
    model = shutil.copytree(folder / "model", tmp_path / "model")
    config_before = json.loads((model / "config.json").read_text())
    scaled = replace(make_predictions(400), logits=3 * make_predictions(400).logits)
    assert fit_temperature(scaled.labels, scaled.logits).temperature > 1.5

    rule = replace(
        choose_decision_rule(scaled.labels, scaled.logits), thresholds=np.array([0.45, 0.5, 0.55])
    )
    monkeypatch.setattr(
        "raddiag_hf.evaluation.evaluation_run.choose_decision_rule", lambda *_, **__: rule
    )
    found = evaluate_model(
        load_model(str(model), device="cpu"),
        folder / "data",
        "test",
        tmp_path / "out",
        replace(CALIBRATED, store=True),
    )
    stored = load_model(str(model), device="cpu")
    config = json.loads((model / "config.json").read_text())
    assert {name for name in config if config[name] != config_before.get(name)} == {
        "calibration_temperature",
        "decision_thresholds",
        "decision_threshold_source",
    }
    for row in (0, 7):
        case = make_case(200 + row)
        scans = [one.scan for one in case.scans]
        diagnosis = diagnose_case(stored.model, stored.processor, scans)
        for finding in diagnosis.findings:
            column = found.table.label2id[finding.label]
            probability = expit(found.table.logits[row, column])
            assert finding.probability == pytest.approx(probability, abs=1e-5)
            assert finding.probability == pytest.approx(expit(finding.logit / rule.temperature))
            assert finding.threshold == rule.thresholds[column]
            assert finding.predicted == (probability >= rule.thresholds[column])
    again = evaluate_model(stored, folder / "data", "test", tmp_path / "again", QUICK)
    np.testing.assert_allclose(again.result.per_class["f1"], found.result.per_class["f1"])
    assert again.rule.source == rule.source
    assert not any("were chosen on" in warning for warning in again.warnings)
    seen = evaluate_model(stored, folder / "data", "validation", tmp_path / "seen", QUICK)
    assert seen.warnings[0].startswith("The model's thresholds were chosen on validation cases")


def test_thresholds_cannot_be_stored_with_a_model_that_is_not_the_users(folder, loaded, tmp_path):
    elsewhere = replace(loaded, model_id="owner/name", revision="abc")
    with pytest.raises(EvaluationInputError, match="owner/name: thresholds can only be stored"):
        evaluate_model(
            elsewhere, folder / "data", "test", tmp_path, replace(CALIBRATED, store=True)
        )


def test_a_model_without_thresholds_has_no_f1_and_says_so(tmp_path, folder, loaded):
    found = evaluate_model(loaded, folder / "data", "test", tmp_path / "out", QUICK)
    assert "f1" not in found.result.per_class
    assert found.warnings == (
        "The model carries no thresholds, so F1, MCC and accuracy are left out; choose them on "
        "the validation cases.",
        "Intervals from only 30 resamples are rough: their ends take 100 at least, and better "
        "1000.",
    )


def test_the_references_numbers_stand_beside_ours_where_asked_for(tmp_path, folder, loaded):
    settings = replace(QUICK, official=True, bootstrap=BootstrapSettings(resamples=0))
    found = evaluate_model(loaded, folder / "data", "test", tmp_path / "out", settings)
    table = PredictionTable.read(tmp_path / "out" / "predictions.parquet")
    expected = evaluate_predictions(table.labels, table.logits, mode="official")
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    place = content["official"]["group"].index("all")
    for name, value in expected.groups["all"].values.items():
        assert content["official"][name][place] == pytest.approx(value)
    assert found.result.mode == "standard"


def test_patients_of_both_splits_are_counted(tmp_path, loaded):
    def build(number):
        from raddiag_hf.data.store.case_writer import BuiltCase

        return BuiltCase(make_case(number, patient_id=f"patient-{number % 100 // 2}"))

    write_evaluation_data(tmp_path / "data", build_case=build)
    found = evaluate_model(loaded, tmp_path / "data", "test", tmp_path / "out", CALIBRATED)
    assert found.warnings[0].startswith("18 patients have cases in the test and in the validation")


def test_too_few_positives_for_any_threshold_are_the_inputs_fault(tmp_path, folder, loaded):
    settings = replace(CALIBRATED, min_positives=1000)
    with pytest.raises(InputError, match="no thresholds can be chosen: 36 validation"):
        evaluate_model(loaded, folder / "data", "test", tmp_path / "out", settings)


def test_a_rule_chosen_for_a_false_positive_rate_keeps_it():
    table = make_predictions(400)
    rule = choose_decision_rule(table.labels, table.logits, target_fpr=0.1)
    predicted = rule.decide(table.logits)
    rates = [predicted[~table.labels[:, i], i].mean() for i in range(6)]
    assert max(rates) <= 0.1
    assert "false-positive rate at most 0.1" in rule.source


def test_thresholds_belong_to_calibrated_probabilities():
    table = make_predictions(400)
    sharp = replace(table, logits=5 * table.logits)
    rule = choose_decision_rule(sharp.labels, sharp.logits)
    assert rule.temperature == pytest.approx(
        fit_temperature(table.labels, sharp.logits).temperature
    )
    assert rule.temperature > 3
    expected = choose_f1_thresholds(table.labels, sharp.logits / np.float32(rule.temperature))
    np.testing.assert_array_equal(rule.thresholds, expected.probabilities)


def test_logits_that_separate_all_cases_leave_probabilities_as_they_are():
    table = make_predictions(200)
    separated = replace(table, logits=np.where(table.labels, 2, -2).astype(np.float32))
    rule = choose_decision_rule(separated.labels, separated.logits)
    assert rule.temperature == 1.0
    assert "not calibrated" in rule.source


def test_a_temperature_that_gains_little_is_not_kept():
    table = make_predictions(400)
    gain = 1 - (scaling := fit_temperature(table.labels, table.logits)).loss_after / (
        scaling.loss_before
    )
    assert 0 < gain < 0.5
    kept = choose_decision_rule(table.labels, table.logits, least_gain=0.9 * gain)
    left = choose_decision_rule(table.labels, table.logits, least_gain=1.1 * gain)
    assert kept.temperature == scaling.temperature
    assert left.temperature == 1.0
    assert "not calibrated" in left.source
    expected = choose_f1_thresholds(table.labels, table.logits)
    np.testing.assert_array_equal(left.thresholds, expected.probabilities)


def test_a_model_of_other_labels_is_refused_before_anything_is_written(tmp_path, folder):
    labels = LabelSet(("Normal", "Gout", "Pneumothorax"))
    other = load_model(str(save_evaluation_model(tmp_path / "other", labels)), device="cpu")
    with pytest.raises(LabelMismatchError, match="first difference is column 1"):
        evaluate_model(other, folder / "data", "test", tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()


def test_a_knowledge_classifier_without_label_texts_is_refused(tmp_path, folder, loaded):
    fields = loaded.model.config.to_dict() | {"classifier_type": "knowledge"}
    model = RadDiagForImageClassification(RadDiagConfig.from_dict(fields))
    with pytest.raises(LabelTextsMissingError, match="no label texts"):
        evaluate_model(
            replace(loaded, model=model), folder / "data", "test", tmp_path / "out", QUICK
        )
    assert not (tmp_path / "out").exists()


def test_two_models_on_the_same_cases_are_compared_pair_by_pair(tmp_path, folder, evaluation):
    other = load_model(str(save_evaluation_model(tmp_path / "second", seed=3)), device="cpu")
    second = evaluate_model(other, folder / "data", "test", tmp_path / "out", CALIBRATED)
    comparison = compare_evaluations(
        [folder / "out" / "metrics.json", tmp_path / "out"],
        output=tmp_path / "both",
        bootstrap=BootstrapSettings(resamples=50),
    )
    assert (comparison.baseline, list(comparison.paired)) == ("model", ["second"])
    for name in ("auc", "f1"):
        found = comparison.paired["second"].groups["all"][name]
        expected = second.result.groups["all"].values[name]
        expected -= evaluation.result.groups["all"].values[name]
        assert found.difference == pytest.approx(expected)
        assert found.low <= found.difference <= found.high
    content = json.loads((tmp_path / "both" / "comparison.json").read_text())
    assert content["not_paired"] == {}
    assert "second" in (tmp_path / "both" / "table.md").read_text()


def test_evaluations_of_other_cases_stand_side_by_side_unpaired(tmp_path, folder, evaluation):
    first = shutil.copytree(folder / "out", tmp_path / "first")
    second = shutil.copytree(folder / "out", tmp_path / "second")
    table = PredictionTable.read(second / "predictions.parquet")
    table.select(np.arange(30)).write(second / "predictions.parquet")
    third = shutil.copytree(folder / "out", tmp_path / "third")
    (third / "predictions.parquet").unlink()
    fourth = shutil.copytree(folder / "out", tmp_path / "fourth")
    foreign = replace(table, provenance={**table.provenance, "model_fingerprint": "of another"})
    foreign.write(fourth / "predictions.parquet")
    comparison = compare_evaluations(
        [first, second, third, fourth], bootstrap=BootstrapSettings(resamples=20)
    )
    assert [model.name for model in comparison.models] == ["first", "second", "third", "fourth"]
    assert "holds other predictions than metrics.json" in comparison.not_paired["fourth"]
    assert comparison.not_paired["second"] == "its cases or labels are others"
    assert comparison.not_paired["third"].endswith("predictions.parquet is not there")


def test_the_best_is_not_sought_among_other_data_of_the_same_name(tmp_path, folder, evaluation):
    first = shutil.copytree(folder / "out", tmp_path / "first")
    second = shutil.copytree(folder / "out", tmp_path / "second")
    content = json.loads((second / "metrics.json").read_text())
    content["data_fingerprint"] = "0123456789"
    (second / "metrics.json").write_text(json.dumps(content))
    quick = BootstrapSettings(resamples=20)
    one, two = compare_evaluations([first, second], bootstrap=quick).models
    assert one.granularity != two.granularity
    assert two.granularity.endswith("test (01234567)")
    shutil.copy(first / "metrics.json", second)
    one, two = compare_evaluations([first, second], bootstrap=quick).models
    assert one.granularity == two.granularity


def test_results_of_another_model_do_not_stay_beside_new_predictions(tmp_path, folder, loaded):
    out = tmp_path / "out"
    results = ("metrics.json", "table.md", "table.tex", "report.html", "figures/roc.png")
    (out / "figures").mkdir(parents=True)
    for name in (*results, "figures/mine.png"):
        (out / name).write_text("of another model")
    make_predictions().write(out / "calibration_predictions.parquet")
    left = []

    def list_results(what, done, total):
        if what.startswith("Predicting") and done:
            left.extend(name for name in results if (out / name).exists())

    evaluate_model(loaded, folder / "data", "test", out, OVERWRITING, list_results)
    assert left == []
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        *("metrics.json", "mine.png", "predictions.parquet", "table.md", "table.tex"),
    ]


def test_a_report_of_earlier_metrics_is_removed(tmp_path, folder, evaluation, loaded):
    out = shutil.copytree(folder / "out", tmp_path / "out")
    (out / "report.html").write_text("of earlier metrics")
    evaluate_model(loaded, folder / "data", "test", out, CALIBRATED)
    assert sorted(path.name for path in out.iterdir()) == sorted(
        path.name for path in (folder / "out").iterdir()
    )


def test_what_is_no_evaluation_is_refused(tmp_path, folder, evaluation):
    good = folder / "out" / "metrics.json"
    with pytest.raises(EvaluationInputError, match="at least two evaluations, 1 were named"):
        compare_evaluations([good])
    with pytest.raises(EvaluationInputError, match="named twice"):
        compare_evaluations([good, good])
    (tmp_path / "metrics.json").write_text('{"format": 1}')
    with pytest.raises(
        EvaluationInputError, match=r"metrics.json: is not what `raddiag evaluate` writes"
    ):
        compare_evaluations([good, tmp_path / "metrics.json"])
    with pytest.raises(FileNotFoundError):
        compare_evaluations([good, tmp_path / "absent" / "metrics.json"])


def test_two_evaluations_into_one_folder_refuse_each_other(tmp_path, folder, loaded, monkeypatch):
    monkeypatch.setattr(run_folder, "PATIENCE_S", 0.1)
    refused = []

    def start_another(step, done, total):
        if step == "Computing metrics" and not refused:
            with pytest.raises(RunInProgressError, match="another run is at work there") as caught:
                evaluate_model(loaded, folder / "data", "test", tmp_path / "out", QUICK)
            refused.append(caught.value)

    evaluate_model(loaded, folder / "data", "test", tmp_path / "out", QUICK, start_another)
    assert len(refused) == 1
    assert not list((tmp_path / "out").glob(".*"))
