"""Diagnosing another data set's classes without training: each is a union of related labels."""

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit
from torch import Tensor

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.plain_text import from_spreadsheet, in_spreadsheet
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.label_texts import LabelTextEncoder

TOP_K = 5
MIN_SIMILARITY = 0.5
"""Cosine from which a label is proposed as related; the most similar one always is."""
COLUMNS = ("target", "related", "similarity")
NOT_REACHED = -1e-6
"""The highest margin below a threshold: small, but its sigmoid is below 0.5 in float32 too."""


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
        """Return logits that are at least 0 where any related label reaches its own threshold.

        Given to `evaluate_predictions` with thresholds of 0.5, they give F1, MCC and accuracy of
        the union of the related labels after thresholding. A label reaches its threshold where the
        sigmoid of its logit in float64 does; where it does not, its margin is at most
        `NOT_REACHED`.

        Args:
            logits: Shape ``(cases, labels)``; where the model has a ``calibration_temperature``,
                divided by it, as those were on which the thresholds were chosen.
            thresholds: Probability from which each label counts as present, shape ``(labels,)``,
                chosen on validation data.
            label_set: The labels of the columns.

        Returns:
            Shape ``(cases, targets)``.

        Raises:
            ZeroShotMappingError: If a related label is not in the label set.
        """
        values = np.asarray(logits, dtype=np.float64)
        limits = np.asarray(thresholds, dtype=np.float64)
        # The inverse of the sigmoid is off by rounding: it tells how far, not on which side.
        distances = values - np.clip(logit(np.clip(limits, 0, 1)), -1e300, 1e300)
        margins = np.where(
            expit(values) >= limits,
            np.maximum(distances, 0),
            np.minimum(distances, NOT_REACHED),
        )
        return self.scores(margins, label_set)

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

        An existing file is replaced at once or not at all. It begins with a byte order mark, by
        which spreadsheets know UTF-8.
        """
        with (
            atomic_write(path) as temporary,
            temporary.open("w", encoding="utf-8-sig", newline="") as f,
        ):
            writer = csv.writer(f)
            writer.writerow(COLUMNS)
            for target, labels in self.related.items():
                for label in labels:
                    similarity = self.similarities.get((target, label))
                    writer.writerow(
                        [
                            in_spreadsheet(target),
                            in_spreadsheet(label),
                            "" if similarity is None else f"{similarity:.4f}",
                        ]
                    )

    @classmethod
    def load(cls, path: Path | str, label_set: LabelSet) -> "ZeroShotMapping":
        """Read a file that `save` wrote and that may have been edited since.

        The column ``similarity`` may be missing or empty; columns may be parted by semicolons or
        tabs, as spreadsheets write them in many countries, and a first line ``sep=;`` may say so.

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
    labels = encoder.encode(label_set.texts) if label_embeddings is None else label_embeddings
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
        skipped = first.lower().startswith("sep=")
        if skipped:
            delimiter = first.strip("\r\n")[4:5] or ","
        else:
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
        rows = csv.DictReader(file, delimiter=delimiter)
        header = [name.strip().lower() for name in rows.fieldnames or ()]
        if missing := [name for name in COLUMNS[:2] if name not in header]:
            raise ZeroShotMappingError(f"lacks the columns {missing}; found {header}")
        if twice := [name for name in COLUMNS if Counter(header)[name] > 1]:
            raise ZeroShotMappingError(f"has the column {twice[0]!r} twice")
        rows.fieldnames = header
        for row in rows:
            line = rows.line_num + skipped
            if any(row.pop(None, ())):
                raise ZeroShotMappingError(
                    f"line {line}: has more fields than the header; quote names that hold "
                    f"{delimiter!r}"
                )
            target, label = (from_spreadsheet((row[name] or "").strip()) for name in COLUMNS[:2])
            if not target and not label:
                continue
            if not target or not label:
                raise ZeroShotMappingError(f"line {line}: {COLUMNS[bool(target)]} is empty")
            if label in related.get(target, ()):
                raise ZeroShotMappingError(f"line {line}: target {target!r} names {label!r} twice")
            related[target] = (*related.get(target, ()), label)
            if similarity := (row.get("similarity") or "").strip().replace(",", "."):
                similarities[target, label] = _number(similarity, line)
    return related, similarities


def _number(text: str, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ZeroShotMappingError(f"line {line}: similarity is {text!r}, expected a number")
    return number
