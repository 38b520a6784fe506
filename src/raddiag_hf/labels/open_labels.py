"""Labels that a model was not trained with: how near each lies to those that it was."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from raddiag_hf.model.heads import KnowledgeHead
from raddiag_hf.model.label_texts import LabelTextEncoder, label_names
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

logger = logging.getLogger(__name__)

NUM_NEAREST = 3
"""Trained labels that are named for an open one."""
FAR_QUANTILE = 0.95
"""Share of the trained labels that have a neighbour within the distance that counts as far."""


@dataclass(frozen=True)
class OpenLabel:
    """A label that the model scores by its name alone.

    Attributes:
        name: The label.
        nearest: Trained labels, nearest first.
        distances: Cosine distance to each of them: 0 for the same direction, 1 for unrelated.
        is_far: The nearest is farther away than `OpenLabels.far_from`.
    """

    name: str
    nearest: tuple[str, ...]
    distances: tuple[float, ...]
    is_far: bool

    def __str__(self) -> str:
        neighbours = ", ".join(
            f"{name!r} ({distance:.2f})"
            for name, distance in zip(self.nearest, self.distances, strict=True)
        )
        return f"{self.name!r} was not trained; nearest trained labels: {neighbours}"


@dataclass(frozen=True)
class OpenLabels:
    """The open labels among those that a model scores.

    Attributes:
        labels: In the order of the logits.
        far_from: Cosine distance beyond which a label is far from all that was trained: the
            distance within which 95 % of the trained labels have another trained label.
    """

    labels: tuple[OpenLabel, ...]
    far_from: float

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence for every label that is far from all trained ones."""
        return tuple(self.warning(label) for label in self.labels if label.is_far)

    def warning(self, label: OpenLabel) -> str:
        """Return what to say of a label that is far from all trained ones."""
        return (
            f"{label}; this is farther than trained labels lie apart ({self.far_from:.2f}), so "
            "its scores are a guess"
        )


def set_open_labels(
    model: RadDiagForImageClassification,
    names: Sequence[str],
    encoder: LabelTextEncoder | Path | str,
) -> OpenLabels:
    """Let a model score labels by their names, and tell how near each is to what it has learnt.

    Args:
        model: With a trained knowledge classifier; see its ``set_label_texts``.
        names: In the order of the logits; trained ones may be among them.
        encoder: The text encoder that the model was trained with, or its folder or Hub id.

    Returns:
        The labels that were not trained; the warnings are logged too.

    Raises:
        LabelTextError: If names or encoder do not fit the model.
        TextEncoderError: If the encoder cannot be loaded.

    Example:
        >>> model = RadDiagForImageClassification.from_pretrained("knowledge-model")
        >>> names = ["Normal", "Erdheim-Chester disease"]
        >>> print(set_open_labels(model, names, "knowledge-encoder").labels[0])
        'Erdheim-Chester disease' was not trained; nearest trained labels: ...
    """
    if isinstance(encoder, (str, Path)):
        from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder  # a diagnosis needs none

        encoder = TextEncoder.from_pretrained(encoder)
    model.set_label_texts(names, encoder)
    found = open_labels_of(model)
    for warning in found.warnings():
        logger.warning("%s", warning)
    return found


def open_labels_of(model: RadDiagForImageClassification) -> OpenLabels:
    """Return the labels of a model that it was not trained with; none for a linear classifier."""
    trained, head = model.config.trained_labels, model.classifier
    if trained is None or not isinstance(head, KnowledgeHead):
        return OpenLabels((), far_from=float("nan"))
    scored, names = head.label_embeddings, label_names(model.config)
    known = set(trained)
    is_open = [name not in known for name in names]
    if not any(is_open):
        return OpenLabels((), far_from=float("nan"))
    return compare_with_trained(
        [name for name, open_ in zip(names, is_open, strict=True) if open_],
        scored[torch.tensor(is_open, device=scored.device)],
        trained,
        head.reference_embeddings(),
    )


def compare_with_trained(
    names: Sequence[str],
    embeddings: Tensor,
    trained_names: Sequence[str],
    trained_embeddings: Tensor,
) -> OpenLabels:
    """Find the trained labels that are nearest to open ones.

    Args:
        names: Of the open labels.
        embeddings: Of the open labels, ``(labels, width)``.
        trained_names: Of the trained labels.
        trained_embeddings: Of the trained labels, ``(trained, width)``.
    """
    far_from = far_distance(trained_embeddings)
    if not names:
        return OpenLabels((), far_from)
    distances = 1 - _unit(embeddings) @ _unit(trained_embeddings).T
    nearest = distances.topk(min(NUM_NEAREST, len(trained_names)), largest=False)
    return OpenLabels(
        tuple(
            OpenLabel(
                name,
                tuple(trained_names[column] for column in columns),
                tuple(values),
                is_far=values[0] > far_from,
            )
            for name, columns, values in zip(
                names, nearest.indices.tolist(), nearest.values.clamp_min(0).tolist(), strict=True
            )
        ),
        far_from,
    )


def far_distance(trained_embeddings: Tensor) -> float:
    """Return the cosine distance within which 95 % of the trained labels have a neighbour.

    A label beyond it lies more by itself than the trained ones do among each other, so that
    whatever the model has learnt says little about it. A single trained label has no neighbour: 0.
    """
    if len(trained_embeddings) < 2:
        return 0.0
    unit = _unit(trained_embeddings)
    similarities = unit @ unit.T
    similarities.fill_diagonal_(-1)
    return float((1 - similarities.amax(1)).quantile(FAR_QUANTILE))


def _unit(embeddings: Tensor) -> Tensor:
    return F.normalize(embeddings.float(), dim=-1)
