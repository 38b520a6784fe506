"""Batches of pairs of one kind, so that negatives have the positive's format."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from raddiag_hf.knowledge.corpus import HardNegative, KnowledgePair, PairKind
from raddiag_hf.knowledge.text_encoder import TextEncoder

Example = tuple[KnowledgePair, HardNegative | None]


class PairDataset(Dataset[Example]):
    """Pairs, each with one of its hard negatives, drawn anew at each visit.

    Args:
        pairs: Of one split.
    """

    def __init__(self, pairs: Sequence[KnowledgePair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Example:
        pair = self.pairs[index]
        if not pair.hard_negatives:
            return pair, None
        return pair, pair.hard_negatives[int(torch.randint(len(pair.hard_negatives), ()))]


class PairSampler(Sampler[int]):
    """Pairs in an order in which every batch is of one kind.

    An epoch holds as many pairs of each kind as the middle one of the kinds has: kinds with fewer
    are seen whole, of those with more another part is drawn in each epoch, so that the many pairs
    of a hierarchy do not drown synonyms and descriptions. What does not fill a batch is left out of
    an epoch. The order is a function of seed and epoch alone, so a resumed run goes on with it.

    Args:
        kinds: Kind of each pair.
        batch_size: Pairs of a batch, on one process.
        seed: Of the draws.

    Raises:
        ValueError: If no kind has enough pairs for a batch.
    """

    def __init__(self, kinds: Sequence[PairKind], batch_size: int, seed: int = 0) -> None:
        names = np.asarray([kind.value for kind in kinds])
        self.by_kind = [np.flatnonzero(names == kind) for kind in sorted(set(names))]
        self.by_kind = [rows for rows in self.by_kind if len(rows) >= batch_size]
        if not self.by_kind:
            raise ValueError(
                f"{len(kinds)} training pairs hold no batch of {batch_size} pairs of one kind"
            )
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        middle = sorted(len(rows) for rows in self.by_kind)[len(self.by_kind) // 2]
        self.num_batches = [min(len(rows), middle) // batch_size for rows in self.by_kind]

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.num_batches) * self.batch_size

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        batches: list[NDArray[np.intp]] = []
        for rows, number in zip(self.by_kind, self.num_batches, strict=True):
            drawn = generator.permutation(rows)[: number * self.batch_size]
            batches += np.split(drawn, number)
        for batch in generator.permutation(len(batches)):
            yield from map(int, batches[batch])


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
        negatives = [negative for _, negative in examples if negative is not None]
        texts = [pair.anchor for pair, _ in examples]
        texts += [pair.positive for pair, _ in examples]
        texts += [negative.text for negative in negatives]
        anchors = [pair.anchor_concept for pair, _ in examples]
        candidates = [pair.positive_concept for pair, _ in examples]
        candidates += [negative.concept for negative in negatives]
        number: dict[str, int] = {}
        for concept in (*anchors, *candidates):
            number.setdefault(concept, len(number))
        tokens = self.encoder.tokenize(texts, self.max_length)
        return {
            "input_ids": tokens["input_ids"],
            "attention_mask": tokens["attention_mask"],
            "anchor_concepts": torch.tensor([number[concept] for concept in anchors]),
            "candidate_concepts": torch.tensor([number[concept] for concept in candidates]),
        }
