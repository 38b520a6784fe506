"""Diagnosing another data set's classes without training: each is a union of related labels."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from torch import Tensor

from raddiag_hf.atomic_files import atomic_write
from raddiag_hf.input_error import InputError
from raddiag_hf.knowledge.label_set import LabelSet
from raddiag_hf.model.label_texts import LabelTextEncoder

TOP_K = 5
MIN_SIMILARITY = 0.5
"""Cosine from which a label is proposed as related; the most similar one always is."""
COLUMNS = ("target", "related", "similarity")


class ZeroShotMappingError(InputError):
    """A mapping that does not fit the labels, or a file that holds none: what and where."""


@dataclass(frozen=True)
class ZeroShotMapping:
    """For each class of another data set, the labels of the model that mean it or a kind of it.

    Attributes:
        related: Target class -> names of related labels, at least one; the order of the targets is
            that of their columns.
        similarities: Cosine of target and label as the knowledge encoder sees them, where it
            proposed the label; for whoever edits the file.

    Raises:
        ZeroShotMappingError: If there is no target, or a target has no label or one twice.

    Source:
        Paper, section 4.3.3: related classes are picked for each target class; their union after
        thresholding is the prediction, for F1, MCC and accuracy; the maximum of their scores is
        the score, for AUC.
    """

    related: Mapping[str, tuple[str, ...]]
    similarities: Mapping[tuple[str, str], float]

    def __post_init__(self) -> None:
        if not self.related:
            raise ZeroShotMappingError("the mapping has no target class")
        for target, labels in self.related.items():
            if not labels:
                raise ZeroShotMappingError(f"target {target!r} has no related label")
            if len(set(labels)) != len(labels):
                raise ZeroShotMappingError(f"target {target!r} names a related label twice")

    @property
    def targets(self) -> tuple[str, ...]:
        """The target classes, in the order of their columns."""
        return tuple(self.related)

    def scores(self, logits: ArrayLike, label_set: LabelSet) -> NDArray[np.float64]:
        """Return the score of each target: the highest among its related labels; for AUC.

        Args:
            logits: Shape ``(cases, labels)``; probabilities do as well.
            label_set: The labels of the columns.

        Returns:
            Shape ``(cases, targets)``.

        Raises:
            ZeroShotMappingError: If a related label is not in the label set.
        """
        values = np.asarray(logits, dtype=np.float64)
        columns = self._columns(label_set)
        return np.stack([values[:, related].max(axis=1) for related in columns], axis=1)

    def margins(
        self, logits: ArrayLike, thresholds: ArrayLike, label_set: LabelSet
    ) -> NDArray[np.float64]:
        """Return logits that are positive where any related label reaches its own threshold.

        Given to `evaluate_predictions` with thresholds of 0.5, they give F1, MCC and accuracy of
        the union of the related labels after thresholding.

        Args:
            logits: Shape ``(cases, labels)``.
            thresholds: Probability from which each label counts as present, shape ``(labels,)``,
                chosen on validation data.
            label_set: The labels of the columns.

        Returns:
            Shape ``(cases, targets)``.

        Raises:
            ZeroShotMappingError: If a related label is not in the label set.
        """
        cutoffs = np.clip(logit(np.asarray(thresholds, dtype=np.float64)), -1e300, 1e300)
        return self.scores(np.asarray(logits, dtype=np.float64) - cutoffs, label_set)

    def predictions(self, predictions: ArrayLike, label_set: LabelSet) -> NDArray[np.bool_]:
        """Return whether any related label is predicted, shape ``(cases, targets)``.

        Args:
            predictions: Labels after their thresholds, booleans, shape ``(cases, labels)``.
            label_set: The labels of the columns.

        Raises:
            ZeroShotMappingError: If a related label is not in the label set.
        """
        present = np.asarray(predictions, dtype=np.bool_)
        columns = self._columns(label_set)
        return np.stack([present[:, related].any(axis=1) for related in columns], axis=1)

    def check(self, label_set: LabelSet) -> None:
        """Refuse related labels that the label set does not have.

        Raises:
            ZeroShotMappingError: Naming all of them.
        """
        unknown = [
            f"{label!r} (of target {target!r})"
            for target, labels in self.related.items()
            for label in labels
            if label not in label_set.label2id
        ]
        if unknown:
            raise ZeroShotMappingError(
                f"not in this label set of {len(label_set)} labels: {', '.join(unknown)}"
            )

    def save(self, path: Path | str) -> None:
        """Write a CSV file of one row per target and related label, to be edited by hand.

        An existing file is replaced at once or not at all.
        """
        with (
            atomic_write(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as f,
        ):
            writer = csv.writer(f)
            writer.writerow(COLUMNS)
            for target, labels in self.related.items():
                for label in labels:
                    similarity = self.similarities.get((target, label))
                    writer.writerow(
                        [target, label, "" if similarity is None else f"{similarity:.4f}"]
                    )

    @classmethod
    def load(cls, path: Path | str, label_set: LabelSet) -> "ZeroShotMapping":
        """Read a file that `save` wrote and that may have been edited since.

        The column ``similarity`` may be missing or empty; columns may be parted by semicolons, as
        spreadsheets write them in many countries.

        Args:
            path: The file.
            label_set: The labels that it may name.

        Raises:
            ZeroShotMappingError: If the file cannot be read as such, or names unknown labels; the
                message names the file, and the line where there is one.
            OSError: If it cannot be opened.
        """
        try:
            mapping = cls(*_read_rows(Path(path)))
            mapping.check(label_set)
        except UnicodeDecodeError:
            raise ZeroShotMappingError(f"{path}: is not text; expected CSV in UTF-8") from None
        except (ZeroShotMappingError, csv.Error) as error:
            raise ZeroShotMappingError(f"{path}: {error}") from None
        return mapping

    def _columns(self, label_set: LabelSet) -> list[list[int]]:
        self.check(label_set)
        return [[label_set.label2id[label] for label in labels] for labels in self.related.values()]


def propose_related_labels(
    targets: Sequence[str],
    label_set: LabelSet,
    encoder: LabelTextEncoder,
    *,
    label_embeddings: Tensor | None = None,
    top_k: int = TOP_K,
    min_similarity: float = MIN_SIMILARITY,
) -> ZeroShotMapping:
    """Propose the labels that are related to each target class, for a person to check.

    Args:
        targets: Names of the classes of another data set.
        label_set: The labels of the model.
        encoder: The knowledge encoder.
        label_embeddings: Those of the label set where they are at hand, ``(labels, width)``.
        top_k: The most labels of a target.
        min_similarity: Cosine below which only the most similar label is proposed.

    Raises:
        ValueError: If ``top_k`` is below 1.

    Source:
        The paper picks related classes by hand (section 4.3.3); proposing them is ours.
    """
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}, expected at least 1")
    labels = encoder.encode(label_set.names) if label_embeddings is None else label_embeddings
    wanted = F.normalize(encoder.encode(targets).float(), dim=-1)
    cosines = wanted @ F.normalize(labels.float().to(wanted.device), dim=-1).T
    best = cosines.topk(min(top_k, len(label_set)))
    related: dict[str, tuple[str, ...]] = {}
    similarities: dict[tuple[str, str], float] = {}
    for target, columns, values in zip(
        targets, best.indices.tolist(), best.values.tolist(), strict=True
    ):
        kept = [
            (label_set.names[column], value)
            for rank, (column, value) in enumerate(zip(columns, values, strict=True))
            if rank == 0 or value >= min_similarity
        ]
        related[target] = tuple(name for name, _ in kept)
        similarities |= {(target, name): value for name, value in kept}
    return ZeroShotMapping(related, similarities)


def _read_rows(path: Path) -> tuple[dict[str, tuple[str, ...]], dict[tuple[str, str], float]]:
    """Return related labels and similarities of a file's rows."""
    related: dict[str, tuple[str, ...]] = {}
    similarities: dict[tuple[str, str], float] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        rows = csv.DictReader(file, delimiter=";" if first.count(";") > first.count(",") else ",")
        missing = [name for name in COLUMNS[:2] if name not in (rows.fieldnames or ())]
        if missing:
            raise ZeroShotMappingError(
                f"lacks the columns {missing}; found {list(rows.fieldnames or ())}"
            )
        for row in rows:
            target, label = ((row[name] or "").strip() for name in COLUMNS[:2])
            if not target and not label:
                continue
            if not target or not label:
                raise ZeroShotMappingError(
                    f"line {rows.line_num}: {COLUMNS[bool(target)]} is empty"
                )
            if label in related.get(target, ()):
                raise ZeroShotMappingError(
                    f"line {rows.line_num}: target {target!r} names {label!r} twice"
                )
            related[target] = (*related.get(target, ()), label)
            if similarity := (row.get("similarity") or "").strip().replace(",", "."):
                try:
                    similarities[target, label] = float(similarity)
                except ValueError:
                    raise ZeroShotMappingError(
                        f"line {rows.line_num}: similarity is {similarity!r}, expected a number"
                    ) from None
    return related, similarities
