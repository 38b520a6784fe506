"""A case in, a diagnosis out: ranking, shares, thresholds, refusals."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.imaging.scan import Scan
from raddiag_hf.inference.case import CaseError
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.model.scan_resampling import source_slice
from raddiag_hf.vocabulary import Modality, Plane
from tests.fixtures.cases import make_scan
from tests.fixtures.models import tiny_model
from tests.fixtures.saved_models import LABELS, label_names

PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)
CASE = (
    make_scan(0, (20, 70, 64), Modality.CT, plane=Plane.AXIAL),
    make_scan(1, (1, 80, 64), Modality.XRAY, is_picture=True),
    make_scan(2, (5, 64, 64), Modality.MRI),
)


@pytest.fixture
def model():
    return tiny_model(**label_names())


def direct_logits(model, scans, slots):
    """The logits of these scans by one whole forward pass."""
    batch = PROCESSOR(
        [scan.volume[0] if scan.is_picture else scan.volume for scan in scans],
        [scan.modality for scan in scans],
    )
    batch["modality_slots"] = torch.tensor(slots)
    with torch.no_grad():
        return model(**batch).logits[0]


def test_findings_are_the_models_answer_most_probable_first(model):
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    logits = direct_logits(model, CASE, [1, 7, 4])
    assert [finding.label for finding in diagnosis.findings] == [
        LABELS[column] for column in logits.argsort(descending=True)
    ]
    found = torch.tensor([finding.logit for finding in diagnosis.findings])
    torch.testing.assert_close(found, logits.sort(descending=True).values, atol=1e-5, rtol=1e-5)
    for finding in diagnosis.findings:
        assert finding.probability == pytest.approx(1 / (1 + np.exp(-finding.logit)))


def test_an_effect_is_what_leaving_the_scan_out_takes_away(model):
    case = (CASE[0], make_scan(3, (4, 64, 64), Modality.CT), CASE[2])
    slots = [1, 2, 4]
    diagnosis = diagnose_case(model, PROCESSOR, case)
    column = LABELS.index(diagnosis.findings[0].label)
    whole = direct_logits(model, case, slots)[column]
    effects = []
    for left_out in range(3):
        kept = [index for index in range(3) if index != left_out]
        part = direct_logits(model, [case[i] for i in kept], [slots[i] for i in kept])[column]
        effects.append(float(whole - part))
    assert max(map(abs, effects)) > 0.01
    assert [scan.effect for scan in diagnosis.scans] == pytest.approx(effects, abs=1e-5)
    total = sum(map(abs, effects))
    shares = [abs(effect) / total for effect in effects]
    assert [scan.share for scan in diagnosis.scans] == pytest.approx(shares, abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(
        st.tuples(st.sampled_from(list(Modality)), st.integers(1, 12)), min_size=1, max_size=5
    )
)
def test_shares_of_any_case_sum_to_one(kinds):
    model = tiny_model(**label_names())
    case = [
        make_scan(seed, (depth, 64, 64), modality) for seed, (modality, depth) in enumerate(kinds)
    ]
    diagnosis = diagnose_case(model, PROCESSOR, case)
    shares = [scan.share for scan in diagnosis.scans]
    assert len(shares) == len(case)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1)])
def test_the_order_of_scans_changes_nothing(model, order):
    first = diagnose_case(model, PROCESSOR, CASE)
    other = diagnose_case(model, PROCESSOR, [CASE[index] for index in order])
    assert [f.label for f in other.findings] == [f.label for f in first.findings]
    for position, index in enumerate(order):
        assert other.scans[position].scan_id == first.scans[index].scan_id
        assert other.scans[position].share == pytest.approx(first.scans[index].share, abs=1e-4)


def test_one_scan_has_all_of_the_share(model):
    (scan,) = diagnose_case(model, PROCESSOR, CASE[:1]).scans
    assert (scan.share, scan.effect) == (1.0, None)


def test_scans_without_effect_share_equally(model):
    torch.nn.init.zeros_(model.classifier.fc2.weight)
    shares = [scan.share for scan in diagnose_case(model, PROCESSOR, CASE).scans]
    assert shares == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("fusion", ["max", "mean", "random"])
def test_late_fusion_has_shares_too(fusion):
    model = tiny_model(**label_names(), fusion_type=fusion)
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    assert sum(scan.share for scan in diagnosis.scans) == pytest.approx(1)


def test_thresholds_decide_what_is_predicted():
    thresholds = [0.0, 1.0, 0.0, 1.0, 1.0]
    model = tiny_model(**label_names(), decision_thresholds=thresholds)
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    for finding in diagnosis.findings:
        assert finding.threshold == thresholds[LABELS.index(finding.label)]
        assert finding.predicted == (finding.threshold == 0.0)
    assert diagnosis.predicted_count == 2


@pytest.mark.parametrize("thresholds", [None, [0.0] * 5, [1.0] * 5])
def test_of_exclusive_labels_the_most_probable_is_predicted(thresholds):
    """Whatever thresholds a configuration names: neither none nor two labels are."""
    model = tiny_model(
        **label_names(),
        problem_type="single_label_classification",
        decision_thresholds=thresholds,
        calibration_temperature=3.0,
    )
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    assert [f.predicted for f in diagnosis.findings] == [True, False, False, False, False]
    assert {f.threshold for f in diagnosis.findings} == {None}
    assert (diagnosis.predicted_count, diagnosis.has_exclusive_labels) == (1, True)
    assert sum(f.probability for f in diagnosis.findings) == pytest.approx(1)


def test_labels_beyond_the_top_are_counted():
    model = tiny_model(**label_names(), decision_thresholds=[0.0] * 5)
    diagnosis = diagnose_case(model, PROCESSOR, CASE, top=2)
    assert (len(diagnosis.findings), diagnosis.label_count, diagnosis.predicted_count) == (2, 5, 5)


def test_a_temperature_calibrates_probabilities_and_decisions_alike(model):
    plain = diagnose_case(model, PROCESSOR, CASE)
    calibrated = [1 / (1 + np.exp(-finding.logit / 2.5)) for finding in plain.findings]
    threshold = (calibrated[1] + calibrated[2]) / 2
    model.config.decision_thresholds = [threshold] * 5
    model.config.calibration_temperature = 2.5
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    assert [f.logit for f in diagnosis.findings] == [f.logit for f in plain.findings]
    assert [f.probability for f in diagnosis.findings] == pytest.approx(calibrated)
    assert [f.predicted for f in diagnosis.findings] == [True, True, False, False, False]
    assert diagnosis.predicted_count == 2
    assert diagnosis.provenance.calibration_temperature == 2.5


def test_without_thresholds_nothing_is_predicted(model):
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    assert diagnosis.predicted_count is None
    assert {(f.threshold, f.predicted) for f in diagnosis.findings} == {(None, None)}


def test_the_key_slice_counts_in_the_scan_as_read(model):
    ct, xray, _ = diagnose_case(model, PROCESSOR, CASE).scans
    assert (ct.source_slices, ct.encoded_slices) == (20, 8)
    assert sum(ct.slice_attention) == pytest.approx(1)
    most = ct.slice_attention.index(max(ct.slice_attention))
    assert ct.key_slice == most * 20 // 8
    assert (xray.key_slice, xray.slice_attention) == (0, (1.0,))


@given(depth=st.integers(1, 300), max_slices=st.integers(1, 40))
def test_source_slices_are_those_that_resampling_kept(depth, max_slices):
    processor = RadDiagImageProcessor(image_size=1, max_slices=max_slices)
    ramp = np.arange(depth, dtype=np.float32)[:, None, None]
    values = processor([ramp], ["CT"])["pixel_values"].flatten()
    kept = [source_slice(index, depth, len(values)) for index in range(len(values))]
    stretched = (np.array(kept) - min(kept)) / max(1, max(kept) - min(kept))
    np.testing.assert_allclose(values.numpy(), stretched, atol=1e-6)


def test_a_picture_packed_as_three_slices_has_its_one_source_slice(model):
    processor = RadDiagImageProcessor(image_size=32, max_slices=8, grey_picture_slices=3)
    (scan,) = diagnose_case(model, processor, CASE[1:2]).scans
    assert (scan.source_slices, scan.encoded_slices, scan.key_slice) == (1, 3, 0)


def test_an_encoder_without_slice_attention_names_no_key_slice():
    model = tiny_model(**label_names(), encoder_type="resnet")
    scan = diagnose_case(model, PROCESSOR, CASE).scans[0]
    assert (scan.key_slice, scan.slice_attention) == (None, None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_optimised_model_gives_the_same_findings(model, dtype):
    expected = {f.label: f.logit for f in diagnose_case(model, PROCESSOR, CASE).findings}
    diagnosis = diagnose_case(model.optimize_for_inference(dtype=dtype), PROCESSOR, CASE)
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    assert {f.label: f.logit for f in diagnosis.findings} == pytest.approx(expected, abs=tolerance)
    assert diagnosis.provenance.dtype == str(dtype).removeprefix("torch.")


def test_the_record_is_plain_json(model):
    diagnosis = diagnose_case(
        model, PROCESSOR, CASE, model_id="owner/name", model_revision="c0ffee", warnings=["note"]
    )
    record = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
    assert record["provenance"]["model_id"] == "owner/name"
    assert record["provenance"]["versions"].keys() == {"raddiag-hf", "torch", "transformers"}
    assert record["warnings"] == ["note"]
    assert [scan["scan_id"] for scan in record["scans"]] == ["scan-0", "scan-1", "scan-2"]


def test_where_a_scan_lay_is_not_recorded(model):
    scan = make_scan(4, (1, 64, 64), provenance={"path": "/data/DOE^JANE/1.dcm", "decisions": []})
    assert "DOE" not in json.dumps(diagnose_case(model, PROCESSOR, [scan]).to_dict())


def test_doubts_about_scans_become_warnings(model):
    constant = Scan(np.ones((1, 64, 64), np.float32), Modality.XRAY, scan_id="blank")
    diagnosis = diagnose_case(model, PROCESSOR, [constant])
    assert diagnosis.warnings == ("blank: every pixel is the same, so it tells the model nothing.",)


@pytest.mark.parametrize(
    ("scans", "message"),
    [
        ([], "no scan"),
        ([make_scan(0, modality=None)], "scan-0: the modality is unknown"),
    ],
)
def test_a_case_that_cannot_be_answered_is_refused(model, scans, message):
    with pytest.raises(CaseError, match=message):
        diagnose_case(model, PROCESSOR, scans)


def test_a_modality_that_the_model_has_no_slot_for_is_refused(model):
    processor = RadDiagImageProcessor(image_size=32, modality_slots={"CT": [1]})
    with pytest.raises(CaseError, match="scan-1: the model has no slot for X-ray, only for CT"):
        diagnose_case(model, processor, CASE)


@pytest.mark.parametrize(
    ("value", "message"),
    [(torch.nan, "is not finite"), (1.25e13, r"has a logit of 1\.25e\+13")],
)
def test_damaged_weights_are_refused(model, value, message):
    model.classifier.fc2.bias.data.fill_(value)
    with pytest.raises(CaseError, match=f"{message}.*broken-model"):
        diagnose_case(model, PROCESSOR, CASE, model_id="broken-model")


def test_top_must_be_positive(model):
    with pytest.raises(ValueError, match="top is 0"):
        diagnose_case(model, PROCESSOR, CASE, top=0)
