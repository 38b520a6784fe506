"""ICD-10-CM, the classification of diagnoses, as concepts."""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from raddiag_hf.knowledge.corpus.concept import Concept, fold

SOURCE = "ICD-10-CM"

_CODE_RANGE = re.compile(r"\s*\([A-Z]\d\w(-[A-Z]\d\w)?\)$")
_RESIDUAL = re.compile(r"\bother\b(?! than\b)|\bnot elsewhere classified\b", re.IGNORECASE)
_CODE = re.compile(r"\b[A-Z]\d[0-9A-Z](\b|\.)")


@lru_cache(maxsize=1)
def read_icd10cm() -> tuple[Concept, ...]:
    """Return chapters, blocks, categories and subcategories, from the root down.

    - Synonyms are the inclusion terms. Those of a residual code ("Other ...", "... of other ...",
      "... not elsewhere classified") are no names of it but disorders that it collects: they become
      concepts below it, such as ``M04.8/1``.
    - Parents are the next level above: a chapter has none.
    - Descriptions say what a concept includes (the notes below "Includes"), and, from categories
      down, which forms it has, where these are more than its own name with a side or a stage.
    - The seventh character is left out: it mostly tells first from later encounters.
    - The block of a single category is named ``B99-B99``, apart from its category ``B99``.

    The first call takes seconds: the package parses the whole tabular list when it is imported.

    Source:
        Tabular list of the CDC's National Center for Health Statistics (public domain), as the
        package ``simple-icd-10-cm`` carries it.
    """
    import simple_icd_10_cm as icd

    concepts: list[Concept] = []
    chapters = [code for code in icd.get_all_codes() if icd.is_chapter(code)]
    for chapter in chapters:
        concepts.append(_concept(icd, chapter, chapter, (), is_group=True))
        for block in icd.get_children(chapter):
            block_id = block if "-" in block else f"{block}-{block}"
            concepts.append(_concept(icd, block, block_id, (chapter,), is_group=True))
            for category in icd.get_children(block, prioritize_blocks=True):
                _add_subtree(icd, category, block_id, concepts)
    return tuple(concepts)


def describe_category(code: str) -> str:
    """Return what a category means, such as Cholera for ``A00``; empty where there is none."""
    import simple_icd_10_cm as icd

    if not icd.is_valid_item(code):
        return ""
    return _CODE_RANGE.sub("", _one_line(icd.get_description(code)))


def _add_subtree(icd: Any, code: str, parent: str, concepts: list[Concept]) -> None:
    concept = _concept(icd, code, code, (parent,), is_group=False)
    if _is_residual(concept.term):
        concepts.append(replace(concept, synonyms=()))
        concepts += [
            Concept(term, (), (code,), (), SOURCE, f"{code}/{number}")
            for number, term in enumerate(concept.synonyms, start=1)
        ]
    else:
        concepts.append(concept)
    for child in icd.get_children(code):
        if not icd.is_extended_subcategory(child):
            _add_subtree(icd, child, code, concepts)


def _concept(
    icd: Any, code: str, identifier: str, parents: tuple[str, ...], *, is_group: bool
) -> Concept:
    term = _CODE_RANGE.sub("", _one_line(icd.get_description(code, prioritize_blocks=is_group)))
    includes = [
        _one_line(note)
        for note in icd.get_includes(code, prioritize_blocks=is_group)
        if not _CODE.search(note)
    ]
    forms = [] if is_group else _forms(icd, code, term)
    descriptions = [f"Includes {'; '.join(includes)}."] if includes else []
    if len(forms) > 1:
        descriptions.append(f"Its forms are: {'; '.join(forms)}.")
    return Concept(
        term=term,
        synonyms=tuple(
            _one_line(term) for term in icd.get_inclusion_term(code, prioritize_blocks=is_group)
        ),
        parents=parents,
        descriptions=tuple(descriptions),
        source=SOURCE,
        id=identifier,
    )


def _forms(icd: Any, code: str, term: str) -> list[str]:
    """Return the names of children that say more than the name itself."""
    words = set(fold(term).split())
    names = [
        _one_line(icd.get_description(child))
        for child in icd.get_children(code)
        if not icd.is_extended_subcategory(child)
    ]
    return [
        name
        for name in names
        if not words <= set(fold(name).split())
        and not _is_residual(name)
        and "unspecified" not in name.lower()
    ]


def _is_residual(term: str) -> bool:
    return _RESIDUAL.search(term) is not None


def _one_line(text: str) -> str:
    return " ".join(text.split())
