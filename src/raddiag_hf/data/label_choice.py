"""Which labels of a data set are used: those of a column, or the most frequent among them."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

from raddiag_hf.data.case_splits import CaseDataError
from raddiag_hf.data.model_labels import LabelMismatchError
from raddiag_hf.data.store.case import DEFAULT_LABEL_COLUMN
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.configuration_raddiag import RadDiagConfig
from raddiag_hf.model.label_names import label_key
from raddiag_hf.model.label_texts import label_names

logger = logging.getLogger(__name__)

_MOST_FREQUENT = re.compile(r"(?P<column>.+):(?P<number>\d+)")


@dataclass(frozen=True)
class LabelChoice:
    """The labels that a data set is opened with.

    Attributes:
        name: What a user and all records call them: the column, or such as ``disorders:200``, the
            200 labels of the column with the most training cases.
        column: Where they are stored.
        label_set: The labels.
        label_ids: Which ids of the column they have, in their order; None for all of them.
    """

    name: str
    column: str
    label_set: LabelSet
    label_ids: tuple[int, ...] | None = None


def split_label_choice(name: str) -> tuple[str, int | None]:
    """Return column and number of a name such as ``disorders:200``; None for all labels."""
    match = _MOST_FREQUENT.fullmatch(name)
    return (match["column"], int(match["number"])) if match else (name, None)


def choose_labels(
    location: str,
    label_sets: Mapping[str, LabelSet],
    wanted: str | None,
    config: RadDiagConfig | None = None,
) -> LabelChoice:
    """Choose among the labels of a data set.

    Args:
        location: What messages call the data set.
        label_sets: Of each of its columns.
        wanted: Name of a column, or column and number; None for those of the model, or of the only
            column.
        config: Of a model; its labels are chosen where none are named.

    Returns:
        The choice. Where no labels are the model's, others, for whoever compares them to complain
        about.

    Raises:
        CaseDataError: If there is no such column, none was named among several, or the most
            frequent labels cannot be told.
        LabelMismatchError: If the model's labels are the most frequent of a column, which have to
            be named.
    """
    columns = sorted(label_sets)
    if not columns:
        raise CaseDataError(f"{location}: has no column of labels")
    if wanted is None and config is not None:
        return _choose_for_model(location, label_sets, config)
    if wanted is None and len(columns) > 1:
        raise CaseDataError(
            f"{location}: no label column was named (--label-column, in recipes "
            f"data.label_column); expected one of {', '.join(columns)}"
        )
    name = columns[0] if wanted is None else wanted
    column, number = (name, None) if name in label_sets else split_label_choice(name)
    if column not in label_sets:
        raise CaseDataError(
            f"{location}: no label column {column!r}; expected one of {', '.join(columns)}"
        )
    if number is None:
        ordered = None if config is None else _in_order_of(config, column, label_sets[column])
        return ordered or LabelChoice(column, column, label_sets[column])
    try:
        return _most_frequent(label_sets, column, number)
    except ValueError as error:
        raise CaseDataError(f"{location}: label column {name}: {error}") from None


def _choose_for_model(
    location: str, label_sets: Mapping[str, LabelSet], config: RadDiagConfig
) -> LabelChoice:
    names = tuple(label_names(config))
    for column, label_set in sorted(label_sets.items()):
        if label_set.names == names:
            return LabelChoice(column, column, label_set)
    for column, label_set in sorted(label_sets.items()):
        if (choice := _in_order_of(config, column, label_set)) is not None:
            return choice
    for column, label_set in sorted(label_sets.items()):
        if label_set.train_counts and set(names) < set(label_set.names):
            choice = _most_frequent(label_sets, column, len(names))
            if choice.label_set.names == names:  # which leaves out cases: nothing to do unasked
                raise LabelMismatchError(
                    f"{location}: the model's labels are those of {choice.name}: name it "
                    f"(--label-column {choice.name}), and cases without any of them are left out"
                )
    column = DEFAULT_LABEL_COLUMN if DEFAULT_LABEL_COLUMN in label_sets else min(label_sets)
    return LabelChoice(column, column, label_sets[column])


def _in_order_of(config: RadDiagConfig, column: str, label_set: LabelSet) -> LabelChoice | None:
    """Return the labels of a column as the model orders and spells them; None if others."""
    names = tuple(label_names(config))
    column_of = {label_key(name): number for number, name in enumerate(label_set.names)}
    keys = [label_key(name) for name in names]
    if label_set.names == names or len(keys) != len(column_of) or set(keys) != set(column_of):
        return None
    label_ids = tuple(column_of[key] for key in keys)
    if label_ids != tuple(range(len(names))):
        logger.warning(
            "the labels of column %s are the model's in another order; they are put into the "
            "model's",
            column,
        )
    return LabelChoice(column, column, label_set.select(label_ids).renamed(names), label_ids)


def _most_frequent(label_sets: Mapping[str, LabelSet], column: str, number: int) -> LabelChoice:
    label_ids = tuple(label_sets[column].most_frequent(number))
    label_set = label_sets[column].select(label_ids)
    return LabelChoice(f"{column}:{number}", column, label_set, label_ids)
