"""The ICD-10-CM tree as concepts."""

import pytest

from raddiag_hf.knowledge.corpus.icd10cm import read_icd10cm


@pytest.fixture(scope="module")
def tree():
    concepts = read_icd10cm()
    by_id = {concept.id: concept for concept in concepts}
    assert len(by_id) == len(concepts)
    return by_id


def test_all_categories_chapters_and_blocks_are_there(tree):
    assert sum(len(code) == 3 for code in tree) == 1918
    roots = [concept for concept in tree.values() if not concept.parents]
    assert len(roots) == 22
    assert roots[0].term == "Certain infectious and parasitic diseases"


def test_every_parent_comes_before_its_children(tree):
    seen = set()
    for concept in tree.values():
        assert seen.issuperset(concept.parents)
        seen.add(concept.id)


def test_a_code_has_its_level_above_as_parent_and_inclusion_terms_as_synonyms(tree):
    assert tree["J93.0"].term == "Spontaneous tension pneumothorax"
    assert tree["J93.0"].parents == ("J93",)
    assert tree["J93"].parents == ("J90-J94",)
    assert tree["J90-J94"].parents == ("10",)
    assert tree["H61.2"].synonyms == ("Wax in ear",)


def test_inclusion_terms_of_a_residual_code_are_disorders_below_it(tree):
    residual = tree["M04.8"]
    assert residual.term == "Other autoinflammatory syndromes"
    assert residual.synonyms == ()
    below = [concept.term for concept in tree.values() if concept.parents == ("M04.8",)]
    assert "Blau syndrome" in below


def test_a_block_of_one_category_is_told_from_it(tree):
    assert tree["B99"].parents == ("B99-B99",)
    assert tree["B99-B99"].parents == ("1",)


def test_seventh_characters_are_left_out(tree):
    assert "S82.861" in tree
    assert "S82.861A" not in tree


def test_descriptions_say_what_is_included_but_name_no_codes(tree):
    (includes, forms) = tree["I66"].descriptions
    assert includes.startswith("Includes embolism of cerebral artery; narrowing of cerebral artery")
    assert "Occlusion and stenosis of cerebellar arteries" in forms
    assert not any(
        "classifiable to" in text for concept in tree.values() for text in concept.descriptions
    )


def test_sides_of_the_same_disorder_describe_nothing(tree):
    """All of its forms repeat its name."""
    assert tree["H59.02"].descriptions == ()
