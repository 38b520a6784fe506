"""Pairs of texts that mean the same or belong together, to teach a text encoder by."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from raddiag_hf.knowledge.corpus.concept import Concept, ReportProgress, fold
from raddiag_hf.knowledge.corpus.concept_groups import ConceptGroup, HeldOut, group_concepts
from raddiag_hf.vocabulary import Split

HARD_NEGATIVES = 4
"""Hard negatives of a pair, where its neighbourhood has as many."""


class PairKind(StrEnum):
    """What two texts are to each other (paper, section 4.2.2)."""

    SYNONYM = "synonym"
    """Two names of one concept: a synonym, and the preferred name."""
    HIERARCHY = "hierarchy"
    """The names of a concept and of its parent."""
    DESCRIPTION = "description"
    """The name of a concept, and a sentence about it."""


@dataclass(frozen=True, slots=True)
class HardNegative:
    """A text of the positive's format that is close and means something else.

    Attributes:
        text: A name where the positive is a name, a description where it is a description.
        concept: Whose it is.
    """

    text: str
    concept: str


@dataclass(frozen=True, slots=True)
class KnowledgePair:
    """Two texts that belong together, and what they should not be mistaken for.

    Attributes:
        kind: What they are to each other.
        anchor: A name.
        positive: A name, or a description.
        anchor_concept: Whose name the anchor is.
        positive_concept: Whose name the positive is, or what it describes.
        hard_negatives: At most `HARD_NEGATIVES`: siblings of the concept, cousins where it has
            none; for a hierarchy pair children of the parent's siblings. Never what is broader or
            narrower than the anchor's concept.
        family: The subtree that is held out as a whole; resample by it, for pairs within are alike.
        source: Concept that the pair comes from, with its source: ``"UMLS:C0032326"``.
        split: Training, validation or test.
    """

    kind: PairKind
    anchor: str
    positive: str
    anchor_concept: str
    positive_concept: str
    hard_negatives: tuple[HardNegative, ...]
    family: str
    source: str
    split: Split


def build_pairs(
    concepts: Sequence[Concept],
    held_out: HeldOut | None = None,
    report_progress: ReportProgress | None = None,
) -> tuple[list[KnowledgePair], Counter[str]]:
    """Join the concepts of all sources into pairs of the three kinds.

    The result depends on the concepts, their order and the seed alone. A text of a held-out
    concept, in whatever spelling, occurs in no training pair; pairs across splits are left out.

    Args:
        concepts: Of all sources; of equal concepts the first gives the name.
        held_out: What to keep from training; by default 5 % for validation, 10 % for testing.
        report_progress: Told the concepts done.

    Returns:
        The pairs, and how many texts or pairs were left out and why.

    Raises:
        KnowledgeSourceError: If an identifier occurs twice in a source.
    """
    held_out = held_out or HeldOut()
    groups, dropped = group_concepts(concepts, held_out)
    neighbours = _Neighbours(groups)
    owners: dict[str, int] = {}
    ambiguous: set[str] = set()
    names = {
        fold(name)
        for group in groups
        for name in (group.name, *(synonym for synonym, _ in group.synonyms))
    }
    for number, group in enumerate(groups):
        for text, _ in group.descriptions:
            if owners.setdefault(fold(text), number) != number or fold(text) in names:
                ambiguous.add(fold(text))
    pairs: list[KnowledgePair] = []
    for number in range(len(groups)):
        drawn = random.Random(f"{held_out.seed}:{groups[number].concept}")
        pairs += _pairs_of(number, groups, neighbours, ambiguous, drawn, dropped)
        if report_progress is not None and (number % 1000 == 0 or number == len(groups) - 1):
            report_progress("pairs", number + 1, len(groups))
    return pairs, dropped


class _Neighbours:
    """Ancestors, siblings and cousins of a group."""

    def __init__(self, groups: Sequence[ConceptGroup]) -> None:
        self.groups = groups
        self.children: list[list[int]] = [[] for _ in groups]
        for number, group in enumerate(groups):
            for parent in group.parents:
                self.children[parent].append(number)

    def ancestors(self, number: int) -> set[int]:
        """Return all that is broader than a group."""
        found: set[int] = set()
        above = list(self.groups[number].parents)
        while above:
            parent = above.pop()
            if parent not in found:
                found.add(parent)
                above += self.groups[parent].parents
        return found

    def siblings(self, number: int, drawn: random.Random) -> Iterator[int]:
        """Yield some other children of its parents, in random order."""
        for parent in self.groups[number].parents:
            yield from _draw(self.children[parent], drawn)

    def cousins(self, number: int, drawn: random.Random) -> Iterator[int]:
        """Yield a few children of each of some siblings of its parents, in random order."""
        for parent in self.groups[number].parents:
            for uncle in self.siblings(parent, drawn):
                if uncle != parent:
                    yield from _draw(self.children[uncle], drawn)[: HARD_NEGATIVES // 2]


def _draw(numbers: Sequence[int], drawn: random.Random) -> list[int]:
    """Draw enough to find the hard negatives among them, however many there are."""
    return drawn.sample(numbers, min(len(numbers), 4 * HARD_NEGATIVES))


def _pairs_of(
    number: int,
    groups: Sequence[ConceptGroup],
    neighbours: _Neighbours,
    ambiguous: set[str],
    drawn: random.Random,
    dropped: Counter[str],
) -> Iterator[KnowledgePair]:
    group = groups[number]
    broader = neighbours.ancestors(number)

    def negatives(
        candidates: Sequence[Iterator[int]], text_of: Callable[[ConceptGroup], str | None]
    ) -> tuple[HardNegative, ...]:
        found: dict[int, HardNegative] = {}
        for kind in candidates:
            for other in kind:
                if other in found or groups[other].split != group.split:
                    continue
                if other == number or other in broader or number in neighbours.ancestors(other):
                    continue
                if (text := text_of(groups[other])) is not None:
                    found[other] = HardNegative(text, groups[other].concept)
                if len(found) == HARD_NEGATIVES:
                    return tuple(found.values())
            if found:
                break
        return tuple(found.values())

    def pair(
        kind: PairKind,
        anchor: str,
        positive: str,
        other: ConceptGroup,
        hard_negatives: tuple[HardNegative, ...],
        source: str,
    ) -> KnowledgePair:
        return KnowledgePair(
            kind=kind,
            anchor=anchor,
            positive=positive,
            anchor_concept=group.concept,
            positive_concept=other.concept,
            hard_negatives=hard_negatives,
            family=group.family,
            source=source,
            split=group.split,
        )

    def description_of(other: ConceptGroup) -> str | None:
        texts = (text for text, _ in other.descriptions if fold(text) not in ambiguous)
        return next(texts, None)

    for synonym, source in group.synonyms:
        near = (neighbours.siblings(number, drawn), neighbours.cousins(number, drawn))
        hard = negatives(near, lambda other: other.name)
        yield pair(PairKind.SYNONYM, synonym, group.name, group, hard, source)
    for parent in group.parents:
        if groups[parent].split != group.split:
            dropped["hierarchy pairs across splits"] += 1
            continue
        hard = negatives([neighbours.cousins(number, drawn)], lambda other: other.name)
        yield pair(
            PairKind.HIERARCHY, group.name, groups[parent].name, groups[parent], hard, group.concept
        )
    spellings = set()
    for text, source in group.descriptions:
        spelling = fold(text)
        if spelling in ambiguous:
            dropped["ambiguous descriptions"] += 1
        elif spelling not in spellings:
            spellings.add(spelling)
            near = (neighbours.siblings(number, drawn), neighbours.cousins(number, drawn))
            hard = negatives(near, description_of)
            yield pair(PairKind.DESCRIPTION, group.name, text, group, hard, source)
