"""Chapters of ICD-10-CM are those of the tabular list."""

import pytest

from raddiag_hf.knowledge.corpus.icd10cm import read_icd10cm
from raddiag_hf.labels.icd10_chapters import CHAPTERS, chapter_columns, chapter_of


def test_every_category_is_in_the_chapter_that_the_tabular_list_puts_it_in():
    concepts = {concept.id: concept for concept in read_icd10cm()}
    chapters = {}
    categories = [one for one in concepts if len(one) == 3]
    assert len(categories) > 1900
    for category in categories:
        (block,) = concepts[category].parents
        while concepts[block].parents:
            (block,) = concepts[block].parents
        chapters.setdefault(block, set()).add(chapter_of(category))
    assert len(chapters) == len(CHAPTERS)
    assert all(len(found) == 1 and None not in found for found in chapters.values())


@pytest.mark.parametrize("code", ["", "A0", "normal", "W", "999"])
def test_what_is_no_code_has_no_chapter(code):
    assert chapter_of(code) is None


def test_labels_of_a_chapter_stand_together():
    columns = chapter_columns(["", "S72", "J93", "s82.1", "D33.2"])
    assert {name: members.tolist() for name, members in columns.items()} == {
        "C00-D49": [4],
        "J00-J99": [2],
        "S00-T88": [1, 3],
    }
