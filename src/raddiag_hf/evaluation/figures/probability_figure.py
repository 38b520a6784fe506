"""The paper's Figure 4a: probabilities of positive, intra-negative and inter-negative cases."""

import textwrap
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raddiag_hf.evaluation.figures.palette import COLUMN_INCHES, LIGHT, Palette
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.metrics.evaluation_result import EvaluationResult

BEST, MIDDLE, WORST = 3, 2, 1
"""Classes shown of each kind, as in the paper."""

FEWEST_POSITIVES = 5
"""Positives that a class needs to be shown: the distribution of fewer is none."""

BINS = 40
TICKS = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
_ROW_HEIGHT = 0.8
_MARGIN = 0.4
_LONGEST_NAME = 48


@dataclass(frozen=True)
class CaseKinds:
    """The cases of one class by kind: boolean, shape ``(cases,)``, no case of two kinds.

    A case of which nobody knows whether it has the class is of none.

    Attributes:
        positive: Cases that have the class.
        intra_negative: Negatives of the same anatomy: that of at least one positive case.
        inter_negative: Negatives of other anatomies.
        unknown: Negatives of unknown anatomy; all negatives where that of no positive is known.
    """

    positive: NDArray[np.bool_]
    intra_negative: NDArray[np.bool_]
    inter_negative: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def draw_probabilities(
    table: PredictionTable, result: EvaluationResult, palette: Palette = LIGHT
) -> Figure:
    """Draw the distribution of the probabilities of some classes by kind of case.

    The axis is that of the logits, marked with probabilities, because those of rare classes lie
    close to 0. Each histogram is as high as its highest bin. The classes are `example_classes`.

    Args:
        table: Predictions whose sigmoid is compared with the thresholds.
        result: Their evaluation.
        palette: Colours.

    Source:
        Paper, Figure 4a; what kinds of negatives there are says `case_kinds`.
    """
    columns = example_classes(result)
    logits = table.logits[:, columns]
    low, high = float(logits.min()) - _MARGIN, float(logits.max()) + _MARGIN
    edges = np.linspace(low, high, BINS + 1)
    figure = Figure(figsize=(COLUMN_INCHES, 0.45 + 1.02 * len(columns)), layout="constrained")
    panels = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    for axes, column in zip(panels, columns, strict=True):
        _draw_class(axes, table, column, edges, palette)
        name = textwrap.shorten(table.label_names[column], _LONGEST_NAME, placeholder="…")
        _draw_title(axes, f"{name}, AUC {result.per_class['auc'][column]:.2f}")
        if result.thresholds is not None:
            with np.errstate(divide="ignore"):
                cutoff = float(np.log(result.thresholds[column]))
                cutoff -= float(np.log1p(-min(result.thresholds[column], 1.0)))
            if low <= cutoff <= high:
                axes.axvline(cutoff, color=palette.ink, linewidth=1, linestyle=(0, (3, 2)))
    ticks = [tick for tick in TICKS if low <= _logit(tick) <= high]
    if len(ticks) > 6:
        ticks = [tick for tick in ticks if tick not in (1e-4, 0.9, 0.9999)]
    panels[-1].set_xticks([_logit(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    panels[-1].set_xlim(low, high)
    panels[-1].set_xlabel("Probability")
    return figure


def example_classes(result: EvaluationResult) -> list[int]:
    """Return the columns to show: by AUC, the three best classes, two in the middle, the worst.

    They are taken from the classes with at least five positive cases; where these are six or fewer,
    all of them are shown, and where there is none, the class with the most.
    """
    auc = result.per_class["auc"]
    is_evaluated = ~np.isnan(auc)
    shown = np.flatnonzero(is_evaluated & (result.positives >= FEWEST_POSITIVES))
    if not len(shown):
        evaluated = np.flatnonzero(is_evaluated)
        shown = evaluated[np.argsort(-result.positives[evaluated], kind="stable")][:1]
    ranked = shown[np.argsort(-auc[shown], kind="stable")]
    if len(ranked) <= BEST + MIDDLE + WORST:
        return [int(column) for column in ranked]
    first = (len(ranked) - MIDDLE) // 2
    first = min(max(first, BEST), len(ranked) - WORST - MIDDLE)
    chosen = [*ranked[:BEST], *ranked[first : first + MIDDLE], *ranked[-WORST:]]
    return [int(column) for column in chosen]


def case_kinds(table: PredictionTable, column: int) -> CaseKinds:
    """Sort the cases of a table by what they are to one class.

    Args:
        table: Predictions; nothing but labels, known or not, and anatomies is read.
        column: The class.

    Source:
        The paper, Figure 4a. It says "the same anatomy" as if a class had one; where its positive
        cases are of several regions, each of these counts as the same here.
    """
    positive = table.labels[:, column]
    negative = ~positive if table.unknown is None else ~(positive | table.unknown[:, column])
    regions = np.array([anatomy or "" for anatomy in table.anatomies])
    is_known = regions != ""
    own = np.unique(regions[positive & is_known])
    is_own = np.isin(regions, own)
    is_placed = is_known if len(own) else np.zeros_like(is_known)
    return CaseKinds(
        positive=positive,
        intra_negative=negative & is_own,
        inter_negative=negative & is_placed & ~is_own,
        unknown=negative & ~is_placed,
    )


def _draw_class(
    axes: Axes,
    table: PredictionTable,
    column: int,
    edges: NDArray[np.float64],
    palette: Palette,
) -> None:
    kinds = case_kinds(table, column)
    rows = {
        "positive": kinds.positive,
        "intra-negative": kinds.intra_negative,
        "inter-negative": kinds.inter_negative,
    }
    labels = []
    for place, (name, chosen) in zip((2, 1, 0), rows.items(), strict=True):
        logits = table.logits[chosen, column]
        labels.append(f"{name}, n = {len(logits):,}")
        axes.axhline(place, color=palette.grid, linewidth=0.7, zorder=0)
        if not len(logits):
            continue
        heights = np.histogram(logits, edges)[0]
        heights = place + _ROW_HEIGHT * heights / heights.max()
        axes.stairs(
            heights, edges, baseline=place, fill=True, color=palette.kinds[name], label=name
        )
        axes.plot(
            [float(np.median(logits))] * 2,
            [place, place + _ROW_HEIGHT],
            color=palette.ink,
            linewidth=1.2,
            solid_capstyle="butt",
        )
    axes.set_yticks([2, 1, 0], labels, va="bottom", fontsize=7)
    axes.set_ylim(-0.08, 2.95)
    axes.spines["left"].set_visible(False)


def _draw_title(axes: Axes, text: str) -> None:
    """Draw a title that begins at the left of the figure rather than of the axes."""
    axes.set_title(" ")  # keeps the room
    title = axes.annotate(
        text,
        (0.0, 1.0),
        (3, 3),
        xycoords=("figure fraction", "axes fraction"),
        textcoords="offset points",
        annotation_clip=False,
    )
    title.set_in_layout(False)


def _logit(probability: float) -> float:
    return float(np.log(probability / (1.0 - probability)))
