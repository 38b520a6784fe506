"""Batches of pairs of one kind, so that negatives have the positive's format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from raddiag_hf.knowledge.corpus.pairs import HardNegative, KnowledgePair, PairKind
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder

Rows = NDArray[np.intp]

NEIGHBOURS = 8
"""Pairs of one family that stand together in a batch: close in meaning, so negatives that teach."""

MOST_REPEATS = 3
"""How often an epoch goes through a kind that has few pairs."""

Draw = tuple[int, int]
"""A pair, and a number that chooses one of its hard negatives."""


@dataclass(frozen=True)
class Example:
    """A pair with one of its hard negatives.

    Attributes:
        pair: The pair.
        hard_negative: None where it has none.
        broader: All concepts that are broader than the anchor's, than the positive's, and than the
            hard negative's, by concept.
    """

    pair: KnowledgePair
    hard_negative: HardNegative | None
    broader: Mapping[str, frozenset[str]]


class PairDataset(Dataset[Example]):
    """Pairs, each with one of its hard negatives.

    Args:
        pairs: Of one split; their hierarchy pairs tell which concepts are broader than which.
    """

    def __init__(self, pairs: Sequence[KnowledgePair]) -> None:
        self.pairs = pairs
        self._parents: dict[str, list[str]] = {}
        for pair in pairs:
            if pair.kind == PairKind.HIERARCHY:
                self._parents.setdefault(pair.anchor_concept, []).append(pair.positive_concept)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, draw: Draw) -> Example:
        index, choice = draw
        pair = self.pairs[index]
        negatives = pair.hard_negatives
        negative = negatives[choice % len(negatives)] if negatives else None
        concepts = {pair.anchor_concept, pair.positive_concept}
        if negative is not None:
            concepts.add(negative.concept)
        return Example(pair, negative, {concept: self._broader(concept) for concept in concepts})

    def _broader(self, concept: str) -> frozenset[str]:
        found: set[str] = set()
        above = list(self._parents.get(concept, ()))
        while above:
            parent = above.pop()
            if parent not in found:
                found.add(parent)
                above += self._parents.get(parent, ())
        return frozenset(found)


class PairSampler(Sampler[Draw]):
    """Pairs in an order in which every batch is of one kind, and holds neighbours.

    An epoch holds as many pairs of each kind as the middle one of the kinds has, so that the many
    pairs of a hierarchy do not drown synonyms and descriptions: of kinds with more, another part is
    drawn in each epoch, and kinds with fewer are gone through up to `MOST_REPEATS` times. In a
    batch, up to `NEIGHBOURS` pairs of a family stand together. What does not fill a batch is left
    out of an epoch. The order and the choice of hard negatives are functions of seed and epoch
    alone, so a resumed run has the same ones.

    Args:
        pairs: Training pairs.
        batch_size: Pairs of a batch, on one process.
        seed: Of the draws.

    Raises:
        ValueError: If no kind has enough pairs for a batch.
    """

    def __init__(self, pairs: Sequence[KnowledgePair], batch_size: int, seed: int = 0) -> None:
        self.families = np.unique([pair.family for pair in pairs], return_inverse=True)[1]
        kinds = np.asarray([pair.kind.value for pair in pairs])
        by_kind = [np.flatnonzero(kinds == kind) for kind in sorted(set(kinds))]
        self.by_kind = [rows for rows in by_kind if len(rows) >= batch_size]
        if not self.by_kind:
            raise ValueError(
                f"{len(pairs)} training pairs hold no batch of {batch_size} pairs of one kind"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        middle = sorted(len(rows) for rows in self.by_kind)[len(self.by_kind) // 2]
        self.num_batches = [
            min(len(rows) * MOST_REPEATS, middle) // batch_size for rows in self.by_kind
        ]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.num_batches) * self.batch_size

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng((self.seed, self.epoch))
        batches: list[Rows] = []
        for rows, number in zip(self.by_kind, self.num_batches, strict=True):
            length = number * self.batch_size
            repeats = -(-length // len(rows))
            drawn = np.concatenate([self._shuffle(rows, generator) for _ in range(repeats)])
            batches += np.split(drawn[:length], number)
        for batch in generator.permutation(len(batches)):
            choices = generator.integers(2**31, size=self.batch_size)
            yield from zip(batches[batch].tolist(), choices.tolist(), strict=True)

    def _shuffle(self, rows: Rows, generator: np.random.Generator) -> Rows:
        """Shuffle runs of neighbours."""
        shuffled = generator.permutation(rows)
        by_family = shuffled[np.argsort(self.families[shuffled], kind="stable")]
        starts = np.flatnonzero(np.diff(self.families[by_family])) + 1
        runs = [
            family[at : at + NEIGHBOURS]
            for family in np.split(by_family, starts)
            for at in range(0, len(family), NEIGHBOURS)
        ]
        return np.concatenate([runs[run] for run in generator.permutation(len(runs))])


class PairCollator:
    """Tokenises a batch as `ContrastiveEncoder.forward` takes it.

    Args:
        encoder: Whose tokenizer to use.
        max_length: Tokens after which texts are cut.
    """

    def __init__(self, encoder: TextEncoder, max_length: int) -> None:
        self.encoder = encoder
        self.max_length = max_length

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return tokens of anchors, positives and hard negatives, and whose texts they are."""
        pairs = [example.pair for example in examples]
        negatives = [
            example.hard_negative for example in examples if example.hard_negative is not None
        ]
        texts = [pair.anchor for pair in pairs]
        texts += [pair.positive for pair in pairs]
        texts += [negative.text for negative in negatives]
        anchors = [pair.anchor_concept for pair in pairs]
        candidates = [pair.positive_concept for pair in pairs]
        candidates += [negative.concept for negative in negatives]
        number: dict[str, int] = {}
        for concept in (*anchors, *candidates):
            number.setdefault(concept, len(number))
        is_related = torch.eye(len(number), dtype=torch.bool)
        for example in examples:
            for concept, broader in example.broader.items():
                for other in broader & number.keys():
                    is_related[number[concept], number[other]] = True
        tokens = self.encoder.tokenize(texts, self.max_length)
        return {
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
            "anchor_concepts": torch.tensor([number[concept] for concept in anchors]),
            "candidate_concepts": torch.tensor([number[concept] for concept in candidates]),
            "is_related": is_related | is_related.T,
        }
