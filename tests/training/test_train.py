"""A recipe becomes a model: trained, validated, saved, and stopped where it must be."""

import json
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import EvalPrediction

from raddiag_hf.checkpoints.loading import load_model
from raddiag_hf.core.atomic_files import StorageError
from raddiag_hf.core.checkpoint_folders import CheckpointKeeper, find_damage, list_checkpoints
from raddiag_hf.core.run_folder import RunFolderError
from raddiag_hf.core.trainer import TrainingDivergedError
from raddiag_hf.data.case_splits import CaseDataError
from raddiag_hf.data.model_labels import LabelMismatchError
from raddiag_hf.evaluation.evaluation_folder import FILE_FORMAT, METRICS_FILE
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification
from raddiag_hf.training import train
from raddiag_hf.training.driver import LABEL_SET_FILE
from raddiag_hf.training.methods.weights import macro_metrics
from raddiag_hf.training.network import check_network
from raddiag_hf.training.recipe import DataSection, ModelSection, recipe_from_dict
from raddiag_hf.training.recipe_file import RecipeError
from raddiag_hf.training.record import TrainingRecord
from raddiag_hf.training.train import RECORD_FILE, main, open_splits, train_recipe
from raddiag_hf.training.trainer import RadDiagTrainer
from raddiag_hf.vocabulary import Anatomy, Modality, Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.recipes import quick_recipe, write_training_cases


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return write_training_cases(tmp_path_factory.mktemp("cases") / "cases")


@pytest.fixture(scope="module")
def trained(cases, tmp_path_factory):
    """The output of a run of one epoch that was validated after every second step."""
    output = tmp_path_factory.mktemp("run") / "output"
    train_recipe(quick_recipe(cases, output, validate=True, num_train_epochs=1, eval_steps=2))
    return output


def history(output):
    state = json.loads((list_checkpoints(output)[-1] / "trainer_state.json").read_text())
    return state["log_history"]


def test_the_trained_model_is_loaded_for_diagnosis(trained):
    loaded = load_model(str(trained / "model"), device="cpu")
    assert list(loaded.model.config.id2label.values()) == ["Normal", "Pneumothorax", "Hip fracture"]
    assert loaded.processor.image_size == loaded.model.config.image_size == 32
    assert len(loaded.model.config.decision_thresholds) == 3
    assert not (trained / "model" / "training_args.bin").exists()


def test_a_run_ends_with_decisions_metrics_record_and_card(tmp_path):
    splits = {
        Split.TRAIN: numbered(range(24)),
        Split.VALIDATION: numbered(range(24, 44)),
        Split.TEST: numbered(range(44, 56)),
    }
    write_store(tmp_path / "cases", splits)
    recipe = quick_recipe(
        tmp_path / "cases", tmp_path / "run", validate=True, max_steps=2, eval_steps=2
    )
    folder = train_recipe(recipe)
    record = TrainingRecord.from_json((folder / RECORD_FILE).read_text())
    config = RadDiagForImageClassification.from_pretrained(folder).config
    assert record.threshold_source == config.decision_threshold_source
    assert "probabilities are" in config.decision_threshold_source
    assert "20 validation cases" in config.decision_threshold_source
    assert record.calibration_temperature == config.calibration_temperature
    metrics = json.loads((folder / METRICS_FILE).read_text())
    assert metrics == {"format": FILE_FORMAT, **record.metrics}
    assert record.metrics["num_cases"] == 12
    assert (record.method, record.base_model) == ("from-scratch", None)
    assert "by the AUC on validation" in record.selection
    assert LabelSet.load(folder / LABEL_SET_FILE).train_counts == (8, 8, 8)
    domain = load_model(str(folder), device="cpu").domain
    assert domain.kinds.num_scans(Modality.CT, Anatomy.CHEST) == 24
    assert (domain.embeddings.num_scans, domain.embeddings.num_cases) == (48, 20)
    assert record.ood_score["test_cases"] == 12
    card = (folder / "README.md").read_text()
    assert "# RadDiag, trained on 3 labels" in card
    assert "Trained from random weights." in card
    assert "12 test cases, looked at once" in card


def test_without_validation_and_test_cases_the_card_says_so(cases, tmp_path):
    folder = train_recipe(quick_recipe(cases, tmp_path / "run", max_steps=1))
    record = TrainingRecord.from_json((folder / RECORD_FILE).read_text())
    assert record.threshold_source is None
    assert record.ood_score is None
    assert load_model(str(folder), device="cpu").domain.embeddings is None
    assert record.selection == "the last of 1 steps"
    card = (folder / "README.md").read_text()
    assert "No thresholds were chosen: there are no validation cases." in card
    assert "Not evaluated: the data set has no test split." in card


def test_the_best_checkpoint_by_validation_auc_becomes_the_model(trained):
    scores = {one["step"]: one["eval_auc"] for one in history(trained) if "eval_auc" in one}
    assert sorted(scores) == [2, 4, 6]
    best = max(scores, key=scores.__getitem__)
    saved = load_file(trained / "model" / "model.safetensors")
    expected = load_file(trained / f"checkpoint-{best}" / "model.safetensors")
    assert all(torch.equal(saved[name], weight) for name, weight in expected.items())


def test_a_finished_run_is_left_as_it_is(trained, cases):
    before = (trained / "model" / "model.safetensors").stat().st_mtime_ns
    train_recipe(quick_recipe(cases, trained, validate=True, num_train_epochs=1, eval_steps=2))
    assert (trained / "model" / "model.safetensors").stat().st_mtime_ns == before


def test_an_output_of_another_recipe_is_refused_and_the_difference_named(trained, cases):
    with pytest.raises(RunFolderError, match=r"differs in recipe\.training\.learning_rate; name"):
        train_recipe(
            quick_recipe(
                cases, trained, validate=True, num_train_epochs=1, eval_steps=2, learning_rate=1
            )
        )
    with pytest.raises(RunFolderError, match="is not empty and holds no run to resume"):
        train_recipe(quick_recipe(cases, cases))


def test_training_goes_on_from_a_checkpoint_and_refuses_other_labels(trained, cases, tmp_path):
    recipe = quick_recipe(cases, tmp_path / "run", max_steps=1)
    start = ModelSection(checkpoint=str(trained / "model"), batch_norm="frozen")
    folder = train_recipe(replace(recipe, model=start))
    before, after = (load_file(one / "model.safetensors") for one in (trained / "model", folder))
    moved = max((after[name] - before[name]).abs().max() for name in before)
    assert 0 < moved < 0.01

    model = RadDiagForImageClassification.from_pretrained(trained / "model")
    model.config.id2label[0], model.config.label_set_fingerprint = "Tumour", None
    model.save_pretrained(tmp_path / "other")
    processor = (trained / "model" / "preprocessor_config.json").read_bytes()
    (tmp_path / "other" / "preprocessor_config.json").write_bytes(processor)
    other = ModelSection(checkpoint=str(tmp_path / "other"), batch_norm="frozen")
    with pytest.raises(LabelMismatchError, match="Tumour"):
        train_recipe(replace(recipe, model=other, output=str(tmp_path / "run-2")))


def test_a_nan_loss_stops_and_keeps_the_last_good_checkpoint(cases, tmp_path, monkeypatch):
    real = RadDiagTrainer.compute_loss

    def broken(trainer, *args, **kwargs):
        loss = real(trainer, *args, **kwargs)
        return loss * float("nan") if trainer.state.global_step == 4 else loss

    monkeypatch.setattr(RadDiagTrainer, "compute_loss", broken)
    with pytest.raises(TrainingDivergedError, match=r"the loss of step 5 is nan: lower"):
        train_recipe(quick_recipe(cases, tmp_path / "run"))
    last = list_checkpoints(tmp_path / "run")[-1]
    assert (last.name, find_damage(last)) == ("checkpoint-4", None)
    assert all(torch.isfinite(one).all() for one in load_file(last / "model.safetensors").values())


def test_weights_that_are_not_numbers_reach_no_checkpoint(cases, tmp_path, monkeypatch):
    real = RadDiagTrainer.training_step

    def broken(trainer, model, *args, **kwargs):
        loss = real(trainer, model, *args, **kwargs)
        if trainer.state.global_step == 3:
            next(model.parameters()).data[0] = float("nan")
        return loss

    monkeypatch.setattr(RadDiagTrainer, "training_step", broken)
    with pytest.raises(TrainingDivergedError, match="is not finite at step 4"):
        train_recipe(quick_recipe(cases, tmp_path / "run"))
    assert [one.name for one in list_checkpoints(tmp_path / "run")] == ["checkpoint-2"]


def test_a_disk_that_takes_no_more_stops_and_keeps_the_last_good_checkpoint(
    cases, tmp_path, monkeypatch
):
    real = CheckpointKeeper.on_save
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def then_limit(*args, **kwargs):
        real(*args, **kwargs)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))

    monkeypatch.setattr(CheckpointKeeper, "on_save", then_limit)
    try:
        with pytest.raises(StorageError, match="checkpoint-4: could not be written") as stop:
            train_recipe(quick_recipe(cases, tmp_path / "run"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = tmp_path / "run" / "checkpoint-2"
    assert str(stop.value).endswith(f"the last good one is {kept}")
    assert list_checkpoints(tmp_path / "run") == [kept]
    assert find_damage(kept) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "data.dataset is missing"),
        (["data.dataset=phantoms", "data.label_column=icd10"], "expected one of disorders"),
        (["data.dataset={cases}", "model.preset=resnet1"], "there is no preset 'resnet1'"),
        (["data.dataset={cases}", "model.config.wdth=1"], "there is no model.config.wdth"),
        (["data.dataset={cases}", "augmentation.mixing_probability=2"], "augmentation: mixing"),
        (["data.dataset={cases}", "data.train_split=trein"], "trein"),
        (
            ["data.dataset=phantoms", "data.options.num_train=abc"],
            "data.options.num_train is 'abc', expected int",
        ),
        (
            ["data.dataset=phantoms", "data.options.num_train=-5"],
            "data.options.num_train is -5, expected at least 0",
        ),
        (
            ["data.dataset=phantoms", "data.options.num_trian=5"],
            "data.options.num_trian: phantoms has no option",
        ),
        (["data.dataset=phantoms", "data.options.name=x"], "data.options.name: phantoms has no"),
    ],
)
def test_what_cannot_be_followed_is_said_in_one_line_with_exit_code_2(
    cases, tmp_path, capsys, overrides, message
):
    given = [one.replace("{cases}", str(cases)) for one in overrides]
    if "data.dataset=phantoms" in given and not any("data.options" in one for one in given):
        given += ["data.options={num_train: 4, num_validation: 4, num_test: 4}"]
    arguments = ["pretrain", "--overrides", *given, f"output={tmp_path}/run", "training.bf16=false"]
    assert main(arguments) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("raddiag: ")
    assert message in last


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.preset=foo", "model.preset: there is no preset 'foo'; expected one of raddiag,"),
        ("model.config.image_size=0", "model.config.image_size is 0, expected at least 1"),
        ("model.config.encoder_type=vti", "model.config.encoder_type is 'vti', expected one of"),
        ("model.config.trained_labels=[1]", "model.config.trained_labels[0] is 1, expected str"),
        ("model.processor.max_slices=64", "model.processor.max_slices is 64, but model.config"),
        ("model.processor.rescale_range=all", "model.processor: rescale_range is 'all', expected"),
        ("loss.focal_gamma=x", "loss.focal_gamma is 'x', expected float or int"),
        ("loss.focal_gamma=-1", "loss.focal_gamma is -1, expected at least 0"),
        ("model.config.focal_gamma=-1", "model.config.focal_gamma is -1, expected at least 0"),
        ("augmentation.mixing_probability=2", "augmentation: mixing_probability is 2"),
        (
            ("model.config.fusion_type=max", "augmentation.mixing_probability=0.3"),
            "augmentation.mixing_probability: fusion_type is 'max', which learns single scans",
        ),
    ],
)
def test_a_network_that_no_data_could_make_right_is_refused_before_data_are_opened(
    tmp_path, capsys, monkeypatch, override, message
):
    monkeypatch.setattr(train, "open_splits", lambda section: pytest.fail("data were opened"))
    overrides = [override] if isinstance(override, str) else override
    assert main(["phantoms", "--overrides", *overrides, f"output={tmp_path}/run"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith(f"raddiag: {message}")
    assert "Error" not in last


@pytest.mark.parametrize("loss", ["class_balanced", "logit_adjusted"])
def test_a_network_whose_loss_needs_counts_of_the_data_passes_without_data(loss):
    check_network(recipe_from_dict({"loss": {"classification_loss": loss}}), None)


@pytest.mark.parametrize(
    ("config", "loss", "message"),
    [
        ({"hidden_size": 64}, {}, "hidden_size is 64, but the checkpoint was trained with 32"),
        ({}, {"focal_gamma": -1}, r"^loss\.focal_gamma is -1, expected at least 0"),
        ({"encoder_chunk_size": 0}, {}, r"^model\.config\.encoder_chunk_size is 0, expected"),
    ],
)
def test_what_a_checkpoint_cannot_become_is_refused_before_data_are_opened(
    trained, tmp_path, config, loss, message
):
    section = ModelSection(checkpoint=str(trained / "model"), config=config, batch_norm="frozen")
    recipe = quick_recipe(tmp_path / "no cases", tmp_path / "run")
    with pytest.raises(RecipeError, match=message):
        train_recipe(replace(recipe, model=section, loss=loss))


def test_a_patient_in_training_and_validation_is_refused(cases):
    shared = DataSection(str(cases), train_split="train[:50%]", validation_split="train[40%:]")
    with pytest.raises(CaseDataError, match=r"1 of \d+ patients have cases in more than one split"):
        open_splits(shared)


def test_logits_that_are_not_numbers_end_the_training():
    logits = np.array([[0.5, np.nan, 0.1]], np.float32)
    with pytest.raises(TrainingDivergedError, match="logits of validation cases are not finite"):
        macro_metrics(EvalPrediction(logits, np.zeros((1, 3))))


def test_a_model_that_lost_its_weights_is_written_again(trained, cases, caplog):
    weights = trained / "model" / "model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    train_recipe(quick_recipe(cases, trained, validate=True, num_train_epochs=1, eval_steps=2))
    assert "model.safetensors is gone, so the run is made again" in caplog.text
    assert weights.read_bytes() == before


def test_a_model_that_the_disk_does_not_take_is_said_like_a_checkpoint(
    cases, tmp_path, monkeypatch
):
    real = RadDiagTrainer.save_model

    def full_disk(trainer, output_dir=None, _internal_call=False):
        if Path(str(output_dir)).name == "model":
            raise SafetensorError("No space left on device")
        real(trainer, output_dir, _internal_call)

    monkeypatch.setattr(RadDiagTrainer, "save_model", full_disk)
    output = tmp_path / "run"
    with pytest.raises(StorageError, match=r"No space left.*last good one is .*-2$"):
        train_recipe(quick_recipe(cases, output, max_steps=2))
    assert not list(output.glob("*model*"))
