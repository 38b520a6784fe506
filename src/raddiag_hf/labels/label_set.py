"""The label set: which label each column of the logits stands for, and how common it is."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.file_format import check_format
from raddiag_hf.labels.bands import HEAD_FROM, TAIL_BELOW, FrequencyBand, frequency_bands
from raddiag_hf.model.label_names import check_label_names, label_fingerprint
from raddiag_hf.vocabulary import Split

FILE_FORMAT = 1
_COLUMNS = {
    "codes": "code",
    "definitions": "definition",
    "train_counts": "train_count",
    "validation_counts": "validation_count",
    "test_counts": "test_count",
}
"""What may be known of each label beside its name -> how a file calls it."""


@dataclass(frozen=True)
class LabelSet:
    """Ordered, unique label names: column ``i`` of the logits is ``names[i]``.

    Attributes:
        names: Label names in column order.
        codes: ICD-10-CM code of each label, ``""`` where it has none; empty if no label has one.
        definitions: What each label means, in words; empty if no label has any.
        train_counts: Training cases of each label; empty where nobody counted.
        validation_counts: Validation cases of each label, likewise.
        test_counts: Test cases of each label, likewise.

    Raises:
        ValueError: For an empty set, a name that is empty, padded with spaces or of several lines,
            two names that differ at most in case and Unicode form, a negative count, or fields of
            different lengths.

    Example:
        >>> label_set = LabelSet(("Normal", "Pneumothorax"), codes=("", "J93"))
        >>> label_set.encode(["Pneumothorax"])
        array([0., 1.], dtype=float32)
    """

    names: tuple[str, ...]
    codes: tuple[str, ...] = ()
    definitions: tuple[str, ...] = ()
    train_counts: tuple[int, ...] = ()
    validation_counts: tuple[int, ...] = ()
    test_counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_label_names(self.names)
        for field in _COLUMNS:
            values = getattr(self, field)
            if values and len(values) != len(self.names):
                raise ValueError(
                    f"{field} has {len(values)} entries for {len(self.names)} label names"
                )
            if field.endswith("_counts") and any(count < 0 for count in values):
                raise ValueError(f"{field} holds {min(values)}, expected 0 or more")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_names(cls, names: Iterable[str]) -> "LabelSet":
        """Return the label set of names in column order."""
        return cls(tuple(names))

    @classmethod
    def from_label_dict(cls, columns: Mapping[str, int]) -> "LabelSet":
        """Return the label set of a mapping from name to column.

        Args:
            columns: Name -> column, as the authors' ``disorder_label_dict.json`` and the
                ``label2id`` of a Hugging Face configuration.

        Raises:
            ValueError: If the columns are not exactly 0 to n-1.
        """
        names = sorted(columns, key=columns.__getitem__)
        for expected, name in enumerate(names):
            if columns[name] != expected:
                raise ValueError(
                    f"{len(names)} labels need the columns 0 to {len(names) - 1}, each once: "
                    f"expected {expected}, found {columns[name]} for {name!r}"
                )
        return cls(tuple(names))

    @cached_property
    def label2id(self) -> dict[str, int]:
        """Name -> column."""
        return {name: column for column, name in enumerate(self.names)}

    @cached_property
    def id2label(self) -> dict[int, str]:
        """Column -> name, as a Hugging Face configuration holds it."""
        return dict(enumerate(self.names))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """What a text encoder reads of each label (paper, equation 5).

        Its name; or its definition, where it has one and its name is its code, or begins with it.
        """
        if not self.codes or not self.definitions:
            return self.names
        return tuple(
            definition if definition and code and name.split(" ")[0] == code else name
            for name, code, definition in zip(self.names, self.codes, self.definitions, strict=True)
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the ordered names, in hexadecimal; nothing else changes it."""
        return label_fingerprint(self.names)

    def encode(self, labels: Iterable[str]) -> NDArray[np.float32]:
        """Return the multi-hot vector of ``labels``, shape ``(labels,)``, of zeros and ones.

        Raises:
            ValueError: If a label is not in this set.
        """
        wanted = list(labels)
        unknown = sorted({label for label in wanted if label not in self.label2id})
        if unknown:
            raise ValueError(f"not in this label set of {len(self)} labels: {unknown}")
        multi_hot = np.zeros(len(self), dtype=np.float32)
        multi_hot[[self.label2id[label] for label in wanted]] = 1
        return multi_hot

    def decode(self, multi_hot: ArrayLike) -> tuple[str, ...]:
        """Return the names that a multi-hot vector marks, in column order.

        Raises:
            ValueError: If its shape is not ``(labels,)`` or it holds anything but zeros and ones;
                probabilities have to meet their thresholds first.
        """
        marks = np.asarray(multi_hot)
        if marks.shape != (len(self),):
            raise ValueError(f"shape is {marks.shape}, expected ({len(self)},)")
        if not np.isin(marks, (0, 1)).all():
            raise ValueError("expected zeros and ones; apply thresholds to probabilities first")
        return tuple(self.names[column] for column in np.flatnonzero(marks))

    def with_counts(self, counts: Mapping[Split, Sequence[int]]) -> "LabelSet":
        """Return this label set with the number of cases of each label in some splits."""
        fields: dict[str, Any] = {
            f"{split}_counts": tuple(int(count) for count in of_split)
            for split, of_split in counts.items()
        }
        return replace(self, **fields)

    def select(self, columns: Sequence[int]) -> "LabelSet":
        """Return some of the labels, in the order of ``columns``, with all that is known of them.

        Raises:
            ValueError: If no column is given, or one twice.
        """
        fields = {
            field: tuple(values[column] for column in columns)
            for field in ("names", *_COLUMNS)
            if (values := getattr(self, field))
        }
        return LabelSet(**fields)

    def renamed(self, names: Sequence[str]) -> "LabelSet":
        """Return the same labels under other spellings of their names."""
        return replace(self, names=tuple(names))

    def most_frequent(self, number: int) -> list[int]:
        """Return the columns of the labels with the most training cases, these first.

        Raises:
            ValueError: If the training cases have not been counted, or there are fewer labels.
        """
        if not 1 <= number <= len(self):
            raise ValueError(f"{number} labels are asked for, there are {len(self)}")
        self._check_counted()
        return sorted(range(len(self)), key=lambda column: -self.train_counts[column])[:number]

    def bands(
        self, head_from: int = HEAD_FROM, tail_below: int = TAIL_BELOW
    ) -> tuple[FrequencyBand, ...]:
        """Return head, body or tail for each label; see `frequency_bands`.

        Raises:
            ValueError: If the training cases have not been counted.
        """
        self._check_counted()
        return frequency_bands(self.train_counts, head_from=head_from, tail_below=tail_below)

    def _check_counted(self) -> None:
        if not self.train_counts:
            raise ValueError("this label set has no training counts; see with_counts")

    def to_json(self) -> str:
        """Return the label set as JSON text."""
        known = {key: getattr(self, field) for field, key in _COLUMNS.items()}
        labels = [
            {"name": name} | {key: values[column] for key, values in known.items() if values}
            for column, name in enumerate(self.names)
        ]
        content = {"format": FILE_FORMAT, "fingerprint": self.fingerprint, "labels": labels}
        return json.dumps(content, ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "LabelSet":
        """Return the label set that `to_json` wrote.

        Raises:
            ValueError: If the text is not such JSON, or its names are not those it was written
                with.
        """
        try:
            content = json.loads(text)
            check_format(content.get("format", 1), FILE_FORMAT)
            labels = content["labels"]
            fields = {
                field: tuple(label[key] for label in labels if key in label)
                for field, key in _COLUMNS.items()
            }
            label_set = cls(names=tuple(label["name"] for label in labels), **fields)
            if label_set.fingerprint != content["fingerprint"]:
                raise ValueError("the names are not those that the fingerprint was made of")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"is not a label set: {error!r}") from error
        return label_set

    def save(self, path: Path | str) -> None:
        """Write the label set as JSON; an existing file is replaced at once or not at all."""
        with atomic_write(path) as temporary:
            temporary.write_text(self.to_json(), "utf-8")

    @classmethod
    def load(cls, path: Path | str) -> "LabelSet":
        """Read what `save` wrote.

        Raises:
            ValueError: If the file is not a label set; the message names it.
            OSError: If it cannot be opened.
        """
        path = Path(path)
        try:
            return cls.from_json(path.read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def check_same_label_set(model: LabelSet, data: LabelSet) -> None:
    """Refuse a model and a data set whose columns do not stand for the same labels.

    Raises:
        ValueError: If they differ, with both counts and the first label that differs.
    """
    if model.fingerprint == data.fingerprint:
        return
    counts = f"the model has {len(model)} labels, the data set has {len(data)}"
    for column, (ours, theirs) in enumerate(zip(model.names, data.names, strict=False)):
        if ours != theirs:
            raise ValueError(
                f"model and data set have different label sets: {counts}; the first difference is "
                f"column {column}: {ours!r} in the model, {theirs!r} in the data set"
            )
    column = min(len(model), len(data))
    longer, extra = ("model", model) if len(model) > len(data) else ("data set", data)
    raise ValueError(
        f"model and data set have different label sets: {counts}; the first {column} agree, "
        f"then the {longer} continues with {extra.names[column]!r}"
    )
