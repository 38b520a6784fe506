"""A diagnosis and its explanation on the page: sentences, heat maps, profiles along the depth."""

from dataclasses import replace

import numpy as np
import pytest

from raddiag_hf.inference.explain.saliency import SaliencyMap
from raddiag_hf.inference.views import (
    case_section,
    effect_statement,
    slice_statement,
    threshold_statement,
)
from raddiag_hf.reports.report import render_report
from tests.fixtures.diagnoses import make_diagnosis, make_explanation, make_scans


def render(explanation):
    return render_report(
        "Report", [case_section("A case", make_diagnosis(), make_scans(), (), explanation)]
    )


def test_every_key_slice_stands_with_its_map_and_its_reason():
    html = render(make_explanation())
    assert "Where “Segond fracture” comes from" in html
    assert html.count("The same with its heat map") == 3
    assert "Slice 21 of 40" in html
    assert "map highest" in html
    assert "most attention" in html


def test_the_scan_with_the_largest_share_stands_first():
    html = render(make_explanation())
    html = html[html.index("comes from") :]
    assert html.index("70.0% of the decision, 60.0% of the attention") < html.index("30.0% of the")


def test_a_stack_has_a_profile_and_a_picture_has_none():
    html = render(make_explanation())
    assert html.count("<polyline") == 1
    assert html.count('class="attention" d=') == 32


def test_without_slice_attention_the_profile_has_the_map_alone():
    explanation = make_explanation()
    ct = explanation.scans[0]
    part = replace(ct.contribution, slice_attention=None, key_slice=None)
    explanation = replace(
        explanation,
        scans=(replace(ct, contribution=part, attention_share=None), explanation.scans[1]),
    )
    html = render(explanation)
    assert 'class="attention" d=' not in html
    assert "swatch attention" not in html
    assert html.count("<polyline") == 1


def test_an_empty_map_is_said_to_be_empty():
    explanation = make_explanation()
    ct = explanation.scans[0]
    blank = SaliencyMap(np.zeros_like(ct.saliency.values), "layer4", 0, 0.0)
    empty = replace(ct, saliency=blank, profile=(0.0,) * 32, peak=None)
    html = render(replace(explanation, scans=(empty, explanation.scans[1])))
    assert "The map is empty" in html
    assert html.count("<polyline") == 0


def test_a_scan_that_does_not_raise_the_score_is_said_to():
    explanation = make_explanation()
    sentence = "This scan does not raise the score over a black one"
    assert sentence not in render(explanation)
    ct = explanation.scans[0]
    without = replace(ct, saliency=replace(ct.saliency, gain=-0.5))
    html = render(replace(explanation, scans=(without, explanation.scans[1])))
    assert html.count(sentence) == 1


def test_a_label_cannot_break_out_of_the_page():
    html = render(replace(make_explanation(), label="<script>"))
    assert "<script" not in html


def test_other_scans_than_explained_are_refused():
    explanation = make_explanation()
    with pytest.raises(ValueError, match="zip"):
        render(replace(explanation, scans=explanation.scans[:1]))


def test_without_an_explanation_the_page_has_none():
    assert "comes from" not in render(None)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "None of 5,569 labels reaches its threshold."),
        (1, "1 of 5,569 labels reaches its threshold."),
        (2, "2 of 5,569 labels reach their threshold."),
    ],
)
def test_the_threshold_sentence_agrees_with_its_number(count, text):
    diagnosis = replace(make_diagnosis(), label_count=5569, predicted_count=count)
    assert threshold_statement(diagnosis) == text


def test_without_thresholds_one_half_is_said_to_mean_nothing():
    assert "0.5 included" in threshold_statement(replace(make_diagnosis(), predicted_count=None))


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        (1.32, "+1.32 logit, speaks for it"),
        (-0.61, "−0.61 logit, speaks against it"),
        (0.001, "hardly any effect on the logit"),
        (None, "the only scan"),
    ],
)
def test_an_effect_says_for_or_against(effect, text):
    assert effect_statement(replace(make_diagnosis().scans[0], effect=effect)) == text


def test_slices_are_told_with_the_key_slice_counted_from_one():
    scan = make_diagnosis().scans[0]
    deep = replace(scan, source_slices=40, encoded_slices=32, key_slice=16)
    assert slice_statement(deep) == "32 of 40 slices, most attention on 17"
    assert slice_statement(replace(deep, key_slice=None)) == "32 of 40 slices"
    assert slice_statement(replace(deep, source_slices=1, encoded_slices=3)) == "one picture"
