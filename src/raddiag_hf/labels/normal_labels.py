"""Labels that say that nothing was found, by the names that data sets have for them."""

from collections.abc import Collection, Sequence

NORMAL_LABELS = frozenset({"normal", "no finding", "regular", "notumor"})
"""Names, in lower case: of RP3D-DiagDS, the chest data sets, POCUS and Brain-Tumor."""


def normal_columns(
    label_names: Sequence[str], normal_labels: Collection[str] = NORMAL_LABELS
) -> tuple[int, ...]:
    """Return the columns of the labels that say that nothing was found, ascending.

    Args:
        label_names: In the order of the columns.
        normal_labels: Names of such labels, in lower case.
    """
    return tuple(
        column for column, name in enumerate(label_names) if name.casefold() in normal_labels
    )
