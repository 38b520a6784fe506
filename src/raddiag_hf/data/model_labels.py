"""Whether a model and a data set belong together: each logit has to mean the same label."""

from datasets import Features

from raddiag_hf.core.errors import InputError
from raddiag_hf.data.store.case import DEFAULT_LABEL_COLUMN, label_columns
from raddiag_hf.labels.label_set import LabelSet, check_same_label_set
from raddiag_hf.model.configuration_raddiag import RadDiagConfig


class LabelMismatchError(InputError):
    """A model and a data set that do not belong together: at which label they part."""


def check_model_fits(
    config: RadDiagConfig, features: Features, label_column: str = DEFAULT_LABEL_COLUMN
) -> None:
    """Check that each of a model's logits means the label that the data set has in its column.

    Call it wherever a model meets a data set: a model that was trained on the same names in another
    order would learn and score nonsense without any error.

    Args:
        config: The model's; its label names are ``id2label``.
        features: Columns of the case data set.
        label_column: The label space to train or to score on.

    Raises:
        LabelMismatchError: If the data set has no such label column, the labels differ (the message
            names the first that does), or the configuration's ``label_set_fingerprint`` is not that
            of its own labels.
    """
    columns = label_columns(features)
    if label_column not in columns:
        raise LabelMismatchError(
            f"the data set has no label column {label_column!r}, only {sorted(columns)}"
        )
    check_model_labels(config, LabelSet(tuple(columns[label_column].names)), label_column)


def check_model_labels(config: RadDiagConfig, label_set: LabelSet, label_column: str) -> None:
    """Check that each of a model's logits means the label of a label set.

    Args:
        config: The model's.
        label_set: Of the data.
        label_column: What messages call it.

    Raises:
        LabelMismatchError: As `check_model_fits`.
    """
    try:
        model = LabelSet.from_label_dict({name: key for key, name in config.id2label.items()})
        check_same_label_set(model, label_set)
    except ValueError as error:
        raise LabelMismatchError(f"label column {label_column!r}: {error}") from None
    if config.label_set_fingerprint not in (None, model.fingerprint):
        raise LabelMismatchError(
            f"the model's label_set_fingerprint {config.label_set_fingerprint} is not that of its "
            f"{len(model)} labels, {model.fingerprint}: its id2label was changed"
        )
