"""What a reader of a diagnosis should know about labels that the model was not trained with."""

from collections.abc import Collection

from raddiag_hf.labels.open_labels import open_labels_of
from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification


def warn_about_labels(model: RadDiagForImageClassification, shown: Collection[str]) -> list[str]:
    """Return one sentence for each shown label that the model knows by its name alone.

    Args:
        model: With any classifier; only a knowledge classifier can have such labels.
        shown: Labels that the reader is about to see.
    """
    found = open_labels_of(model)
    return [
        f"{found.warning(label) if label.is_far else str(label)}."
        for label in found.labels
        if label.name in shown
    ]
