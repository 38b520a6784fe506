"""`fold`: spellings of one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.knowledge.concept import fold


@pytest.mark.parametrize(
    "spelling",
    ["Ménière’s disease", "MENIERE'S  DISEASE", "meniere s disease", "Meniere's-disease"],
)
def test_spellings_of_one_name_are_folded_alike(spelling):
    assert fold(spelling) == "meniere s disease"


def test_words_and_their_order_stay():
    assert fold("Low vision, right eye") != fold("Low vision, left eye")
    assert fold("B-cell") == "b cell" != fold("Bcell")


@given(st.text(min_size=1).filter(str.strip))
def test_folding_is_idempotent_and_ignores_case(text):
    assert fold(fold(text)) == fold(text)
    assert fold(text.lower()) == fold(text.lower().casefold())
