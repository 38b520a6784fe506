"""ROC curves of single labels, of one model or of several models over each other."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.evaluation.report.tables import count, decimals

MOST_PANELS = 9
_COLUMNS, _PANEL_INCHES, _LEGEND_INCHES, _LONGEST_TITLE = 3, 2.1, 0.2, 30
_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


def most_frequent_labels(
    labels: NDArray[np.floating] | NDArray[np.bool_], most: int | None = MOST_PANELS
) -> list[int]:
    """Return the columns of the labels with the most positives that a curve can be drawn of.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, labels)``.
        most: How many; None for all.

    Returns:
        Columns, the most frequent label first.
    """
    values = np.asarray(labels, dtype=np.float64)
    positives = (values == 1).sum(axis=0)
    drawable = np.flatnonzero((positives > 0) & ((values == 0).sum(axis=0) > 0))
    return drawable[np.argsort(-positives[drawable], kind="stable")][:most].tolist()


def draw_class_roc(
    labels: NDArray[np.floating] | NDArray[np.bool_],
    logits: Mapping[str, NDArray[np.floating]],
    label_names: Sequence[str],
    columns: Sequence[int],
    palette: Palette = LIGHT,
) -> Figure:
    """Draw one panel per label, with the curve of every model and its AUC.

    Args:
        labels: 0 or 1, NaN where unknown, shape ``(cases, labels)``.
        logits: By model, of the same cases, shape ``(cases, labels)``.
        label_names: Name of each column.
        columns: Which labels to draw; each with a positive and a negative case.
        palette: Colours.

    Source:
        Paper, supplementary Figure 1.
    """
    values = np.asarray(labels, dtype=np.float64)
    across = min(_COLUMNS, len(columns))
    down = -(-len(columns) // across)
    legend = _LEGEND_INCHES * len(logits) if len(logits) > 1 else 0
    figure = Figure(
        figsize=(_PANEL_INCHES * across, (_PANEL_INCHES + 0.3) * down + legend),
        layout="constrained",
    )
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    colors = [*palette.metrics.values(), *palette.groups.values()]
    lines = {}
    for axes, column in zip(panels, columns, strict=False):
        known = ~np.isnan(values[:, column])
        present = values[known, column] == 1
        for number, (model, scores) in enumerate(logits.items()):
            rates, recalls, _ = roc_curve(present, scores[known, column])
            area = roc_auc_score(present, scores[known, column])
            (lines[model],) = axes.plot(
                rates,
                recalls,
                color=colors[number % len(colors)],
                linestyle=_STYLES[number % len(_STYLES)],
                linewidth=1.3,
                label=decimals(float(area)),
            )
        name = label_names[column]
        short = name if len(name) <= _LONGEST_TITLE else f"{name[: _LONGEST_TITLE - 1]}…"
        axes.set_title(f"{short}\n{count(int(present.sum()), 'positive')}")
        axes.legend(title="AUC", loc="lower right", handlelength=1.6)
        axes.axline((0, 0), slope=1, color=palette.axis, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.005)
        axes.grid()
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    figure.supxlabel("False-positive rate", fontsize=8)
    figure.supylabel("Recall", fontsize=8)
    if len(logits) > 1:
        figure.legend(
            list(lines.values()),
            list(lines),
            loc="outside upper left",
        )
    return figure
