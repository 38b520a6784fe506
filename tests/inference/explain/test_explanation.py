"""Explain a case: the right label, its scans, and a record that says how."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from raddiag_hf import RadDiagImageProcessor
from raddiag_hf.inference.case import CaseError, pack_case
from raddiag_hf.inference.diagnose import diagnose_case
from raddiag_hf.inference.explain.explanation import LabelError, explain_case, label_index
from raddiag_hf.inference.explain.saliency import ScoreCamSettings
from raddiag_hf.vocabulary import Modality, Plane
from tests.fixtures.cases import make_scan
from tests.fixtures.models import tiny_model
from tests.fixtures.saved_models import LABELS, label_names

PROCESSOR = RadDiagImageProcessor(image_size=32, max_slices=8)
FEW = ScoreCamSettings(max_masks=4)
CASE = (
    make_scan(0, (20, 70, 64), Modality.CT, plane=Plane.AXIAL),
    make_scan(1, (1, 80, 64), Modality.XRAY, is_picture=True),
    make_scan(2, (5, 64, 64), Modality.MRI),
)


@pytest.fixture(scope="module")
def model():
    return tiny_model(**label_names())


@pytest.fixture(scope="module")
def explanation(model):
    return explain_case(model, PROCESSOR, CASE, settings=FEW)


def test_the_leading_finding_is_explained_as_it_was_diagnosed(model, explanation):
    diagnosis = diagnose_case(model, PROCESSOR, CASE)
    leading = diagnosis.findings[0]
    assert explanation.label == leading.label
    assert explanation.logit == pytest.approx(leading.logit, abs=1e-5)
    assert explanation.probability == pytest.approx(leading.probability)
    for explained, contribution in zip(explanation.scans, diagnosis.scans, strict=True):
        assert explained.contribution.effect == pytest.approx(contribution.effect, abs=1e-5)
        assert explained.contribution.key_slice == contribution.key_slice


def test_any_label_can_be_explained_whatever_its_case(model):
    explanation = explain_case(model, PROCESSOR, CASE, label="meniscal TEAR", settings=FEW)
    assert explanation.label == "Meniscal tear"
    record = diagnose_case(model, PROCESSOR, CASE).findings
    logit = next(finding.logit for finding in record if finding.label == "Meniscal tear")
    assert explanation.logit == pytest.approx(logit, abs=1e-5)


def test_two_labels_have_two_maps(model):
    maps = [
        explain_case(model, PROCESSOR, CASE[:1], label=label, settings=FEW).scans[0].saliency.values
        for label in LABELS[:2]
    ]
    assert not np.allclose(*maps, atol=0.05)


def test_an_unknown_label_is_refused_with_what_is_near(model):
    with pytest.raises(LabelError, match=r"no label 'tear' among its 5; did you mean 'Meniscal"):
        explain_case(model, PROCESSOR, CASE, label="tear")


def test_labels_that_differ_by_case_alone_are_told_apart():
    names = ["ALL", "All", "Normal"]
    model = tiny_model(num_labels=3, id2label=dict(enumerate(names)))
    assert [label_index(model, name) for name in names] == [0, 1, 2]
    assert label_index(model, "NORMAL") == 2
    with pytest.raises(LabelError, match=r"2 labels like 'all' among its 3; .* 'ALL' or 'All'"):
        label_index(model, "all")


def test_an_empty_case_is_refused(model):
    with pytest.raises(CaseError, match="no scan"):
        explain_case(model, PROCESSOR, [])


def test_shares_by_leaving_out_and_by_attention_each_sum_to_one(explanation):
    for shares in (
        [scan.contribution.share for scan in explanation.scans],
        [scan.attention_share for scan in explanation.scans],
    ):
        assert sum(shares) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("num_scans", [1, 2])
def test_attention_pooling_shares_are_those_of_the_scans(num_scans):
    both = {"slice_fusion": "attention", "fusion_type": "attention"}
    model = tiny_model(**both, **label_names())
    scans = CASE[:num_scans]
    explanation = explain_case(model, PROCESSOR, scans, label="Normal", settings=FEW)
    batch = pack_case(model, PROCESSOR, scans)
    with torch.no_grad():
        (shares,) = model(**batch, output_attentions=True).fusion_attentions
    assert [scan.attention_share for scan in explanation.scans] == pytest.approx(
        shares[0].mean(0).tolist(), abs=1e-5
    )


def test_fusion_without_attention_has_no_attention_share():
    model = tiny_model(fusion_type="mean", **label_names())
    explanation = explain_case(model, PROCESSOR, CASE, settings=FEW)
    assert all(scan.attention_share is None for scan in explanation.scans)


@pytest.mark.parametrize("encoder_type", ["resnet", "vit"])
def test_encoders_without_slice_attention_are_explained(encoder_type):
    model = tiny_model(encoder_type=encoder_type, **label_names())
    explanation = explain_case(model, PROCESSOR, CASE[:2], settings=FEW)
    assert explanation.scans[0].contribution.slice_attention is None
    assert all(scan.peak is not None for scan in explanation.scans)


def test_peaks_and_key_slices_are_counted_in_the_scan_as_read(explanation):
    for scan, explained in zip(CASE, explanation.scans, strict=True):
        assert all(
            0 <= place < n for place, n in zip(explained.peak, scan.volume.shape, strict=True)
        )
        assert explained.peak[0] == explained.key_slices[0]
        assert all(0 <= index < len(scan.volume) for index in explained.key_slices)


def test_reasons_are_told_for_slices_and_not_for_pictures(explanation):
    ct, film, _ = explanation.scans
    assert "map highest" in ct.why_shown(ct.peak[0])
    assert "most attention" in ct.why_shown(ct.contribution.key_slice)
    assert film.why_shown(0) == ""
    other = next(
        index for index in range(20) if index not in (ct.peak[0], ct.contribution.key_slice)
    )
    assert ct.why_shown(other) == "map high"
    assert replace(ct, peak=None).why_shown(other) == ""


def test_progress_names_the_scan(model):
    heard = []
    explain_case(model, PROCESSOR, CASE, settings=FEW, progress=lambda *step: heard.append(step))
    steps = [f"Explaining scan {number} of 3: masks" for number in (1, 2, 3)]
    assert list(dict.fromkeys(step for step, _, _ in heard)) == steps
    assert [step for step, done, total in heard if done == total] == steps


def test_the_record_is_json_and_says_how_it_was_made(explanation):
    record = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert record["method"]["name"] == "Score-CAM"
    assert record["method"]["max_masks"] == 4
    assert record["provenance"]["versions"]["torch"]
    assert len(record["scans"][0]["saliency_profile"]) == 8
    assert record["scans"][0]["saliency_masks"] <= 4
