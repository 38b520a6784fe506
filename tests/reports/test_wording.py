"""Numbers and sentences, as people read them."""

import pytest

from raddiag_hf.reports.wording import percent, signed


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
