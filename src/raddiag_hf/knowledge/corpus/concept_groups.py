"""Which concepts are one concept by their names, and which are held out together."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from raddiag_hf.core.settings import Setting, check_settings
from raddiag_hf.knowledge.corpus.concept import Concept, KnowledgeSourceError, fold
from raddiag_hf.vocabulary import Split

MAX_FAMILY = 400
"""Concepts of a subtree that is held out as a whole; the largest ICD-10-CM category has 362."""


@dataclass(frozen=True, slots=True)
class ConceptGroup:
    """Concepts of one or several sources that share a name, to be taken for one.

    Attributes:
        concept: Source and identifier of the first, which stands for all: ``"ICD-10-CM:J93"``.
        name: Its preferred name.
        synonyms: Other names, each with the concept it comes from; no spelling twice.
        descriptions: Descriptions, each with the concept it comes from.
        parents: Indices of broader groups.
        family: The subtree that it is held out with, by the concept at its root.
        split: Where all its pairs belong.
    """

    concept: str
    name: str
    synonyms: tuple[tuple[str, str], ...]
    descriptions: tuple[tuple[str, str], ...]
    parents: tuple[int, ...]
    family: str
    split: Split


@dataclass(frozen=True)
class HeldOut:
    """How much of the concepts is kept from training.

    Attributes:
        validation: Share of families to tune settings by.
        test: Share of families to report results on.
        seed: Of the draw, which goes by the family's identifier alone, and of hard negatives.

    Raises:
        InputError: If a share is not between 0 and 0.5.
    """

    validation: Annotated[float, Setting(min=0, max=0.5)] = 0.05
    test: Annotated[float, Setting(min=0, max=0.5)] = 0.1
    seed: Annotated[int, Setting(min=0)] = 0

    def __post_init__(self) -> None:
        check_settings(self)

    def split_of(self, family: str) -> Split:
        """Return the split of a family."""
        digest = hashlib.sha256(f"{self.seed}\0{family}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        if place < self.test:
            return Split.TEST
        return Split.VALIDATION if place < self.test + self.validation else Split.TRAIN


def group_concepts(
    concepts: Sequence[Concept], held_out: HeldOut
) -> tuple[list[ConceptGroup], Counter[str]]:
    """Join concepts that share a name, and give each group its split.

    A synonym that several concepts of one source share, or that is another's name, says nothing
    about which of them is meant: it is dropped. Names that differ in case, accents, punctuation or
    spacing are one name, so no name of a held-out concept is seen in training in another spelling.

    Families are held out as a whole, so that a disorder is not known through its sibling: the
    largest subtrees of at most `MAX_FAMILY` groups, along each group's first parent, whichever
    source that comes from.

    Args:
        concepts: Of all sources; of equal concepts the first gives the name.
        held_out: What to keep from training.

    Returns:
        The groups in the order of their first concepts, and how many terms were dropped and why.

    Raises:
        KnowledgeSourceError: If an identifier occurs twice in a source.
    """
    keys = [f"{concept.source}:{concept.id}" for concept in concepts]
    index = {key: number for number, key in enumerate(keys)}
    if len(index) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise KnowledgeSourceError(f"concept {twice} occurs twice; identifiers have to be unique")
    parents = [
        [index[key] for parent in concept.parents if (key := f"{concept.source}:{parent}") in index]
        for concept in concepts
    ]
    dropped: Counter[str] = Counter()
    known = sum(len(above) for above in parents)
    if unknown := sum(len(concept.parents) for concept in concepts) - known:
        dropped["parents that no source has"] = unknown
    synonyms = _clear_synonyms(concepts, dropped)
    group_of = _join_by_name(concepts, synonyms)
    members: dict[int, list[int]] = {}
    for number, group in enumerate(group_of):
        members.setdefault(group, []).append(number)
    position = {group: place for place, group in enumerate(members)}
    parents_of = [
        list(
            dict.fromkeys(
                above
                for number in numbers
                for parent in parents[number]
                if (above := position[group_of[parent]]) != position[group]
            )
        )
        for group, numbers in members.items()
    ]
    families = _families([above[0] if above else None for above in parents_of])
    leaders = [keys[numbers[0]] for numbers in members.values()]
    groups = []
    for place, numbers in enumerate(members.values()):
        first = numbers[0]
        spellings = {fold(concepts[first].term)}
        names: list[tuple[str, str]] = []
        for number in numbers:
            for name in (concepts[number].term, *synonyms[number]):
                if (spelling := fold(name)) not in spellings:
                    spellings.add(spelling)
                    names.append((name, keys[number]))
        family = leaders[families[place]]
        groups.append(
            ConceptGroup(
                concept=keys[first],
                name=concepts[first].term,
                synonyms=tuple(names),
                descriptions=tuple(
                    (text, keys[number])
                    for number in numbers
                    for text in concepts[number].descriptions
                ),
                parents=tuple(sorted(parents_of[place])),
                family=family,
                split=held_out.split_of(family),
            )
        )
    return groups, dropped


def _clear_synonyms(concepts: Sequence[Concept], dropped: Counter[str]) -> list[list[str]]:
    """Return the synonyms that mean one concept of their source only."""
    owners: dict[tuple[str, str], int] = {}
    shared: set[tuple[str, str]] = set()
    for number, concept in enumerate(concepts):
        for name in {fold(name) for name in (concept.term, *concept.synonyms)}:
            if owners.setdefault((concept.source, name), number) != number:
                shared.add((concept.source, name))
    clear = []
    for concept in concepts:
        kept = [name for name in concept.synonyms if (concept.source, fold(name)) not in shared]
        dropped["ambiguous synonyms"] += len(concept.synonyms) - len(kept)
        clear.append(kept)
    return clear


def _join_by_name(concepts: Sequence[Concept], synonyms: Sequence[Sequence[str]]) -> list[int]:
    """Return the first concept that each concept is one with."""
    leader = list(range(len(concepts)))

    def find(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    first_with: dict[str, int] = {}
    for number, concept in enumerate(concepts):
        for name in (concept.term, *synonyms[number]):
            one, other = find(first_with.setdefault(fold(name), number)), find(number)
            leader[max(one, other)] = min(one, other)
    return [find(number) for number in range(len(concepts))]


def _families(first_parents: Sequence[int | None]) -> list[int]:
    """Return the root of the family of each group."""
    lineages: list[list[int]] = []
    sizes: Counter[int] = Counter()
    for number in range(len(first_parents)):
        lineage: list[int] = []
        above: int | None = number
        while above is not None and above not in lineage:  # sources do contain cycles
            lineage.append(above)
            above = first_parents[above]
        lineages.append(lineage)
        sizes.update(lineage)
    roots = []
    for lineage in lineages:
        small = [number for number in lineage if sizes[number] <= MAX_FAMILY]
        roots.append(small[-1] if small else lineage[0])
    return roots
