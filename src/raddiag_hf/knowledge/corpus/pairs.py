"""Text pairs: what means the same or belongs together, to teach a text encoder by."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from raddiag_hf.core.progress import Progress, no_progress
from raddiag_hf.knowledge.corpus.concept import Concept, fold
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
    progress: Progress = no_progress,
) -> tuple[list[KnowledgePair], Counter[str]]:
    """Join the concepts of all sources into pairs of the three kinds.

    The result depends on the concepts, their order and the seed alone. A text of a held-out
    concept, in whatever spelling, occurs in no training pair; pairs across splits are left out.

    Args:
        concepts: Of all sources; of equal concepts the first gives the name.
        held_out: What to keep from training; by default 5 % for validation, 10 % for testing.
        progress: Told the concepts done.

    Returns:
        The pairs, and how many texts or pairs were left out and why.

    Raises:
        KnowledgeSourceError: If an identifier occurs twice in a source.
    """
    held_out = held_out or HeldOut()
    groups, dropped = group_concepts(concepts, held_out)
    hierarchy = _Hierarchy(groups)
    ambiguous = _ambiguous_descriptions(groups)
    pairs: list[KnowledgePair] = []
    for number, group in enumerate(groups):
        drawn = random.Random(f"{held_out.seed}:{group.concept}")
        of_group = _GroupPairs(number, hierarchy, ambiguous, drawn, dropped)
        pairs += of_group.synonyms()
        pairs += of_group.parents()
        pairs += of_group.descriptions()
        if number % 1000 == 0 or number == len(groups) - 1:
            progress("pairs", number + 1, len(groups))
    return pairs, dropped


def _ambiguous_descriptions(groups: Sequence[ConceptGroup]) -> set[str]:
    """Return spellings of descriptions of several groups, or that are a name."""
    names = {
        fold(name)
        for group in groups
        for name in (group.name, *(synonym for synonym, _ in group.synonyms))
    }
    owners: dict[str, int] = {}
    ambiguous: set[str] = set()
    for number, group in enumerate(groups):
        for text, _ in group.descriptions:
            if owners.setdefault(fold(text), number) != number or fold(text) in names:
                ambiguous.add(fold(text))
    return ambiguous


class _Hierarchy:
    """Ancestors, siblings and cousins of groups."""

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


class _GroupPairs:
    """The pairs of one group, with random numbers that are its own.

    Args:
        number: Of the group.
        hierarchy: Of all groups.
        ambiguous: Spellings of descriptions that say nothing about one group.
        drawn: Chooses the hard negatives.
        dropped: Counts what is left out.
    """

    def __init__(
        self,
        number: int,
        hierarchy: _Hierarchy,
        ambiguous: set[str],
        drawn: random.Random,
        dropped: Counter[str],
    ) -> None:
        self.number = number
        self.hierarchy = hierarchy
        self.groups = hierarchy.groups
        self.group = hierarchy.groups[number]
        self.broader = hierarchy.ancestors(number)
        self.ambiguous = ambiguous
        self.drawn = drawn
        self.dropped = dropped

    def synonyms(self) -> Iterator[KnowledgePair]:
        """Pair each synonym with the preferred name."""
        for synonym, source in self.group.synonyms:
            hard = self._hard_negatives(self._near(), lambda other: other.name)
            yield self._pair(PairKind.SYNONYM, synonym, self.group.name, self.group, hard, source)

    def parents(self) -> Iterator[KnowledgePair]:
        """Pair the name with that of each parent of the same split."""
        for parent in (self.groups[number] for number in self.group.parents):
            if parent.split != self.group.split:
                self.dropped["hierarchy pairs across splits"] += 1
                continue
            cousins = self.hierarchy.cousins(self.number, self.drawn)
            hard = self._hard_negatives([cousins], lambda other: other.name)
            source = self.group.concept
            yield self._pair(PairKind.HIERARCHY, self.group.name, parent.name, parent, hard, source)

    def descriptions(self) -> Iterator[KnowledgePair]:
        """Pair the name with each description, in whatever spelling it occurs first."""
        spellings = set()
        for text, source in self.group.descriptions:
            spelling = fold(text)
            if spelling in self.ambiguous:
                self.dropped["ambiguous descriptions"] += 1
            elif spelling not in spellings:
                spellings.add(spelling)
                hard = self._hard_negatives(self._near(), self._description_of)
                yield self._pair(
                    PairKind.DESCRIPTION, self.group.name, text, self.group, hard, source
                )

    def _description_of(self, other: ConceptGroup) -> str | None:
        texts = (text for text, _ in other.descriptions if fold(text) not in self.ambiguous)
        return next(texts, None)

    def _near(self) -> Sequence[Iterator[int]]:
        """Return siblings, then cousins."""
        return (
            self.hierarchy.siblings(self.number, self.drawn),
            self.hierarchy.cousins(self.number, self.drawn),
        )

    def _hard_negatives(
        self, candidates: Sequence[Iterator[int]], text_of: Callable[[ConceptGroup], str | None]
    ) -> tuple[HardNegative, ...]:
        """Return texts of the first kind of candidates that has some of this split."""
        found: dict[int, HardNegative] = {}
        for kind in candidates:
            for other in kind:
                if other in found or not self._is_negative(other):
                    continue
                if (text := text_of(self.groups[other])) is not None:
                    found[other] = HardNegative(text, self.groups[other].concept)
                if len(found) == HARD_NEGATIVES:
                    return tuple(found.values())
            if found:
                break
        return tuple(found.values())

    def _is_negative(self, other: int) -> bool:
        """Whether another group is of this split, and neither broader nor narrower."""
        return (
            other != self.number
            and self.groups[other].split == self.group.split
            and other not in self.broader
            and self.number not in self.hierarchy.ancestors(other)
        )

    def _pair(
        self,
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
            anchor_concept=self.group.concept,
            positive_concept=other.concept,
            hard_negatives=hard_negatives,
            family=self.group.family,
            source=source,
            split=self.group.split,
        )
