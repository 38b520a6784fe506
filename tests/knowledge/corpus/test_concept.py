"""`fold`: spellings of one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raddiag_hf.knowledge.corpus.concept import fold


@pytest.mark.parametrize(
    "spelling",
    ["Ménière’s disease", "MENIERE'S  DISEASE", "meniere s disease", "Meniere's-disease"],
)
def test_spellings_of_one_name_are_folded_alike(spelling):
    assert fold(spelling) == "meniere s disease"


def test_words_and_their_order_stay():
    assert fold("Low vision, right eye") != fold("Low vision, left eye")
    assert fold("B-cell") == "b cell" != fold("Bcell")


def test_signs_that_change_the_meaning_stay():
    names = ["HER2 carcinoma", "HER2+ carcinoma", "HER2- carcinoma", "Hb <7", "Hb >7", "Hb 7"]
    assert len({fold(name) for name in names}) == len(names)
    assert fold("HER2- carcinoma") == fold("HER2\N{MINUS SIGN} carcinoma")
    assert fold("Fy(a-b+)") != fold("Fy(a-b-)")
    assert fold("X-ray - chest") == fold("x ray: chest")


def test_marks_that_are_vowels_stay():
    assert fold("\N{DEVANAGARI LETTER KA}") != fold(
        "\N{DEVANAGARI LETTER KA}\N{DEVANAGARI VOWEL SIGN I}"
    )


@given(st.text(min_size=1).filter(str.strip))
def test_folding_is_idempotent_and_ignores_case(text):
    assert fold(fold(text)) == fold(text)
    assert fold(text) == fold(text.casefold())
