"""Attentive probe: it finds the slice that matters, where cross-validation says so."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from raddiag_hf.data.opening import open_cases
from raddiag_hf.data.store.case_writer import BuiltCase
from raddiag_hf.model.attention_pooling import ScoreLayer
from raddiag_hf.model.image_processing_raddiag import RadDiagImageProcessor
from raddiag_hf.training.methods.attentive_probe import (
    Reading,
    _describe,
    _folds,
    _readings,
    fit_attentive_probe,
)
from raddiag_hf.training.methods.features import SliceFeatures, extract_slice_features
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import LABELS, make_case, numbered, write_store
from tests.fixtures.models import tiny_model

PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)


def needle_case(number):
    """A scan of eight slices of noise, one of which shows the label."""
    case = make_case(number)
    first = case.scans[0]
    random = np.random.default_rng(number)
    volume = random.integers(0, 700, (8, 24, 24)).astype(np.float32)
    label = LABELS.names.index(case.labels["labels"][0])
    slice_ = random.integers(8)
    volume[slice_] = 0
    volume[slice_, :, label * 8 : (label + 1) * 8] = 1000
    scan = replace(first.scan, volume=volume)
    return BuiltCase(replace(case, scans=(replace(first, scan=scan),)))


def picture_case(number):
    case = make_case(number)
    first = case.scans[0]
    scan = replace(first.scan, volume=first.scan.volume[:1])
    return BuiltCase(replace(case, scans=(replace(first, scan=scan),)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("needles") / "cases"
    items = {
        Split.TRAIN: numbered(range(60)),
        Split.VALIDATION: numbered(range(60, 100)),
        Split.TEST: numbered(range(100, 140)),
    }
    write_store(folder, items, build_case=needle_case)
    return open_cases(folder)


def attentive_model(**fields):
    fields = {"slice_fusion": "attention", "fusion_type": "attention"} | fields
    return tiny_model(classifier_type="probe", num_labels=len(LABELS), **fields)


def fit(model, data, work, **options):
    options = {"penalties": (1.0, 100.0), "num_workers": 0, "chunk_size": None, "seed": 0} | options
    device = torch.device("cpu")
    return fit_attentive_probe(model, data, PROCESSOR, work=work, device=device, **options)


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    return fit(attentive_model(), data, tmp_path_factory.mktemp("work"))


def losses(selection):
    """Reading -> cross-validated loss, as the selection tells them."""
    told = selection.split("cases (")[1].rstrip(")").split(", ")
    return {one.rsplit(": ", 1)[0]: float(one.rsplit(": ", 1)[1]) for one in told if ": " in one}


def test_attention_helps_where_one_slice_of_many_matters(fitted):
    assert fitted.selection.startswith("learnt attention over slices and scans, with penalty")
    found = losses(fitted.selection)
    assert found[Reading.ATTENTION] < 0.95 * found[Reading.FUSED]


def test_scans_of_one_slice_are_read_in_one_way(tmp_path):
    items = {Split.TRAIN: numbered(range(20)), Split.VALIDATION: numbered(range(20, 30))}
    write_store(tmp_path / "cases", items, build_case=picture_case)
    found = fit(attentive_model(), open_cases(tmp_path / "cases"), tmp_path)
    assert list(losses(found.selection)) == [Reading.FUSED]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "the mean of slices and scans"),
        ({"fusion_type": "mean"}, "the mean of slices"),
        ({"fusion_type": "transformer"}, "slices and scans pooled as at the start"),
    ],
)
def test_a_reading_is_told_for_the_fusion_that_there_is(fields, expected):
    model = attentive_model(**fields)
    for layer in model.modules():
        if isinstance(layer, ScoreLayer):
            layer.weight.data.zero_()
    assert _describe(Reading.FUSED, model) == expected
    assert "scans" in _describe(Reading.LATE, model)


def test_folds_keep_patients_together():
    patients = [f"patient-{number % 7}" for number in range(30)]
    folds = _folds(patients, seed=0)
    assert sorted(case for fold in folds for case in fold) == list(range(30))
    of_fold = [{patients[case] for case in fold} for fold in folds]
    assert sum(len(one) for one in of_fold) == 7


def test_what_is_saved_predicts_what_was_predicted(fitted, data, tmp_path):
    fitted.save(tmp_path / "out")
    model = type(fitted.model).from_pretrained(tmp_path / "out").eval()
    case = data[Split.TEST].pack(PROCESSOR)[0]
    inputs = {name: case[name] for name in case if name not in ("labels", "key_slices")}
    with torch.inference_mode():
        found = model(**inputs).logits[0]
    expected = fitted.predict(Split.TEST)[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_the_encoder_stays_as_it_is(fitted):
    before = attentive_model().raddiag.encoder.resnet.state_dict()
    after = fitted.model.raddiag.encoder.resnet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_same_seed_gives_the_same_weights_from_kept_features(data, tmp_path):
    first = fit(attentive_model(), data, tmp_path)
    folder = next(tmp_path.glob("slice-features-*"))
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    second = fit(attentive_model(), data, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    state = second.model.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in first.model.state_dict().items())


def test_another_fusion_reads_the_same_features_and_another_encoder_does_not(data, tmp_path):
    model = attentive_model()
    late = attentive_model(fusion_type="mean")
    late.load_state_dict(model.state_dict(), strict=False)
    fit(model, data, tmp_path)
    fit(late, data, tmp_path)
    assert len(list(tmp_path.glob("slice-features-*"))) == 1
    fit(attentive_model(seed=1), data, tmp_path)
    assert len(list(tmp_path.glob("slice-features-*"))) == 2


def test_slice_features_are_what_the_model_says_of_each_slice(data, tmp_path):
    model = attentive_model()
    packed = {Split.TEST: data[Split.TEST].pack(PROCESSOR)}
    found = extract_slice_features(
        model,
        packed,
        tmp_path,
        device=torch.device("cpu"),
        num_workers=0,
        chunk_size=None,
        progress=lambda *_: None,
    )[Split.TEST]
    case = packed[Split.TEST][3]
    with torch.inference_mode():
        expected = model.raddiag.encode_slices(case["pixel_values"])
    chosen = found.select([3])
    torch.testing.assert_close(chosen["slice_features"], expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(chosen["slice_counts"], case["slice_counts"])


def test_cases_are_selected_with_all_that_is_theirs():
    features = SliceFeatures(
        slices=torch.arange(6.0)[:, None],
        slice_counts=torch.tensor([2, 1, 3]),
        scan_counts=torch.tensor([1, 2]),
        modality_slots=torch.tensor([4, 5, 6]),
    )
    chosen = features.select([1, 0])
    assert chosen["slice_features"][:, 0].tolist() == [2, 3, 4, 5, 0, 1]
    assert chosen["slice_counts"].tolist() == [1, 3, 2]
    assert chosen["scan_counts"].tolist() == [2, 1]
    assert chosen["modality_slots"].tolist() == [5, 6, 4]


def test_a_fusion_that_is_to_be_kept_is_not_averaged_away(data):
    features = SliceFeatures(
        slices=torch.zeros(4, 32),
        slice_counts=torch.tensor([2, 2]),
        scan_counts=torch.tensor([2]),
        modality_slots=torch.tensor([1, 1]),
    )
    model = attentive_model()
    assert Reading.LATE in _readings(model, features, keeps_fusion=False)
    assert Reading.LATE not in _readings(model, features, keeps_fusion=True)
