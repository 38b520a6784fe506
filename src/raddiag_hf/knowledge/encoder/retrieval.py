"""What a text encoder knows: whether it finds concepts by other names and by descriptions."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raddiag_hf.knowledge.corpus.pairs import KnowledgePair, PairKind
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder, TextEncoderError
from raddiag_hf.metrics.bootstrap import PairedMeans, compare_paired_means

FloatArray = NDArray[np.float64]

_QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class QueryScores:
    """One value per query of a metric, and the family that each query belongs to.

    Attributes:
        values: Between 0 and 1, ``(queries,)``.
        families: Of the queries.
    """

    values: FloatArray
    families: tuple[str, ...]


RetrievalScores = Mapping[str, QueryScores]
"""Metric, such as ``synonym_recall@1``, -> its value for each query."""


def evaluate_retrieval(
    encoder: TextEncoder,
    pairs: Sequence[KnowledgePair],
    *,
    max_queries: int = 5000,
    batch_size: int = 64,
    seed: int = 0,
) -> RetrievalScores:
    """Measure retrieval of concepts by their preferred names.

    - ``synonym_recall@1``, ``@5``, ``synonym_mrr``: rank of a synonym's concept among all concepts
      of ``pairs``.
    - ``description_recall@1``, ``@5``, ``description_mrr``: rank of the concept described among all
      that are described. (The names of its forms, which an ICD-10-CM description lists, are near
      for good reason and no wrong answer.)
    - ``child_nearer_to_parent``: share of a child's cousins (its pair's hard negatives) that are
      farther from it than its parent; children without cousins are no queries.

    Equal similarities count against the encoder.

    Args:
        encoder: What to measure.
        pairs: Held-out pairs, of one split.
        max_queries: Of each kind; drawn by ``seed`` where there are more.
        batch_size: Texts encoded at once.
        seed: Of the draw; equal seeds give two encoders the same queries.

    Returns:
        The metrics of the kinds that occur.

    Raises:
        TextEncoderError: If an embedding is not finite.
    """
    queries = {kind: _draw(pairs, kind, max_queries, seed) for kind in PairKind}
    names = _preferred_names(pairs)
    described = {pair.anchor_concept for pair in pairs if pair.kind == PairKind.DESCRIPTION}
    texts = dict.fromkeys(names.values())
    for pair in (pair for drawn in queries.values() for pair in drawn):
        texts |= dict.fromkeys((pair.anchor, pair.positive))
        if pair.kind == PairKind.HIERARCHY:
            texts |= dict.fromkeys(negative.text for negative in pair.hard_negatives)
    row = {text: number for number, text in enumerate(texts)}
    embeddings = encoder.encode(list(texts), batch_size)
    if bad := int((~torch.isfinite(embeddings).all(dim=1)).sum()):
        raise TextEncoderError(
            f"the encoder's embeddings of {bad} of {len(texts)} texts are not finite; "
            "its training may have diverged"
        )
    scores: dict[str, QueryScores] = {}
    for kind, queried, concepts in (
        (PairKind.SYNONYM, "anchor", list(names)),
        (PairKind.DESCRIPTION, "positive", sorted(described)),
    ):
        if drawn := queries[kind]:
            column = {concept: number for number, concept in enumerate(concepts)}
            ranks = _ranks(
                embeddings[[row[getattr(pair, queried)] for pair in drawn]],
                embeddings[[row[names[concept]] for concept in concepts]],
                torch.tensor([column[pair.positive_concept] for pair in drawn]),
            )
            families = tuple(pair.family for pair in drawn)
            for name, values in (
                ("recall@1", ranks <= 1),
                ("recall@5", ranks <= 5),
                ("mrr", 1 / ranks),
            ):
                scores[f"{kind}_{name}"] = QueryScores(values.astype(np.float64), families)
    if drawn := queries[PairKind.HIERARCHY]:
        shares = [_share_beyond_parent(pair, embeddings, row) for pair in drawn]
        scores["child_nearer_to_parent"] = QueryScores(
            np.asarray(shares), tuple(pair.family for pair in drawn)
        )
    return scores


def compare_retrieval(
    base: RetrievalScores, tuned: RetrievalScores, *, resamples: int = 2000, seed: int = 0
) -> dict[str, PairedMeans]:
    """Return each metric of two encoders on the same queries, with paired intervals by family."""
    return {
        name: compare_paired_means(
            base[name].values,
            tuned[name].values,
            base[name].families,
            resamples=resamples,
            seed=seed,
        )
        for name in base
    }


def _draw(
    pairs: Sequence[KnowledgePair], kind: PairKind, max_queries: int, seed: int
) -> list[KnowledgePair]:
    usable = [
        pair
        for pair in pairs
        if pair.kind == kind and (kind != PairKind.HIERARCHY or pair.hard_negatives)
    ]
    return random.Random(seed).sample(usable, min(len(usable), max_queries))


def _preferred_names(pairs: Sequence[KnowledgePair]) -> dict[str, str]:
    """Return concept -> preferred name."""
    names: dict[str, str] = {}
    for pair in pairs:
        if pair.kind != PairKind.SYNONYM:
            names.setdefault(pair.anchor_concept, pair.anchor)
        if pair.kind != PairKind.DESCRIPTION:
            names.setdefault(pair.positive_concept, pair.positive)
    return names


def _ranks(queries: Tensor, candidates: Tensor, targets: Tensor) -> FloatArray:
    """Return the rank of each query's target, from 1; equals rank before it."""
    ranks = []
    for part, target in zip(
        torch.split(queries, _QUERIES_AT_ONCE),
        torch.split(targets, _QUERIES_AT_ONCE),
        strict=True,
    ):
        similarities = part @ candidates.T
        own = similarities.gather(1, target[:, None])
        ranks.append((similarities >= own).sum(1))
    return torch.cat(ranks).numpy().astype(np.float64)


def _share_beyond_parent(pair: KnowledgePair, embeddings: Tensor, row: Mapping[str, int]) -> float:
    child = embeddings[row[pair.anchor]]
    parent = child @ embeddings[row[pair.positive]]
    cousins = embeddings[[row[negative.text] for negative in pair.hard_negatives]] @ child
    return float((cousins < parent).float().mean())
