"""Numbers and sentences, as people read them."""

from dataclasses import replace

import pytest

from raddiag_hf.reports.wording import (
    effect_statement,
    percent,
    signed,
    slice_statement,
    threshold_statement,
)
from tests.fixtures.diagnoses import make_diagnosis


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0.0%"),
        (0.0004, "<0.1%"),
        (0.001, "0.1%"),
        (0.5, "50.0%"),
        (0.9999, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_percentages_have_one_decimal(fraction, text):
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("number", "text"), [(1.318, "+1.32"), (-0.61, "−0.61"), (0.004, "0.00"), (-0.004, "0.00")]
)
def test_a_sign_stands_only_before_what_is_not_zero(number, text):
    assert signed(number) == text


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
