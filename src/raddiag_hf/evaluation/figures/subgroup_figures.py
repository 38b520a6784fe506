"""Intervals of subgroups of cases, row by row: by modality, by region, normal against abnormal."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raddiag_hf.evaluation.breakdown import Subgroup
from raddiag_hf.evaluation.figures.palette import COLUMN_INCHES, LIGHT, Palette
from raddiag_hf.evaluation.report.tables import count
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.predictions import ALL

BREAKDOWN_METRICS = {"auc": "AUC", "ap": "AP"}
NORMAL_METRICS = {
    "auc": ("auc", "AUC"),
    "ap": ("ap", "AP"),
    "recall_at_fpr_0.05": ("recall", "Recall@0.05"),
}
ROW_INCHES = 0.36
MARKERS = {"auc": "o", "ap": "s", "recall": "^"}


@dataclass(frozen=True)
class _IntervalSeries:
    """One metric in every row: its key in the palette, its name, and arrays of shape ``(rows,)``.

    Values are NaN in rows that cannot be evaluated; ``low`` and ``high`` are NaN without intervals.
    """

    key: str
    name: str
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_breakdown(
    everything: EvaluationResult, subgroups: Sequence[Subgroup], palette: Palette = LIGHT
) -> Figure:
    """Draw the means over the classes of each subgroup of the cases, below those of all cases.

    Args:
        everything: The evaluation of all cases.
        subgroups: Those of some of them, such as `Breakdown.by_modality`.
        palette: Colours.
    """
    results = [everything, *(one.result for one in subgroups)]
    names = ["All cases", *(one.name for one in subgroups)]
    rows = [
        (
            name,
            f"{count(result.num_cases, 'case')}, {count(result.groups[ALL].evaluated, 'label')}",
        )
        for name, result in zip(names, results, strict=True)
    ]
    series = []
    for metric, name in BREAKDOWN_METRICS.items():
        nothing = np.full(len(results), np.nan)
        low, high = nothing.copy(), nothing
        for row, result in enumerate(results):
            if result.intervals is not None:
                ends = result.intervals.macro[ALL][metric]
                low[row], high[row] = ends.low, ends.high
        values = np.array([result.groups[ALL].values[metric] for result in results])
        series.append(_IntervalSeries(metric, name, values, low, high))
    return _draw_interval_rows(rows, series, palette)


def draw_normal_abnormal(subgroups: Sequence[Subgroup], palette: Palette = LIGHT) -> Figure:
    """Draw AUC, AP and recall at 5 % false positives of the label that says normal.

    Args:
        subgroups: What `Breakdown.normal_abnormal` holds: that label as the only class.
        palette: Colours.

    Source:
        Paper, Figure 5a; points with intervals instead of bars.
    """
    rows = []
    for one in subgroups:
        normal = int(one.result.positives[0])
        name = "All regions" if one.name == ALL else one.name
        rows.append((name, f"{normal:,} normal, {one.result.num_cases - normal:,} abnormal"))
    series = []
    for metric, (key, name) in NORMAL_METRICS.items():
        nothing = np.full(len(subgroups), np.nan)
        low, high = nothing.copy(), nothing
        for row, one in enumerate(subgroups):
            if one.result.intervals is not None:
                ends = one.result.intervals.per_class[metric]
                low[row], high[row] = ends.low[0], ends.high[0]
        values = np.array([one.result.per_class[metric][0] for one in subgroups])
        series.append(_IntervalSeries(key, name, values, low, high))
    return _draw_interval_rows(rows, series, palette)


def _draw_interval_rows(
    rows: Sequence[tuple[str, str]], series: Sequence[_IntervalSeries], palette: Palette
) -> Figure:
    """Draw a row of points with intervals for each subgroup, the first row on top.

    Args:
        rows: Name of each row, and the small print below it.
        series: The metrics.
        palette: Colours.
    """
    height = 0.75 + ROW_INCHES * len(rows)
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rows), dtype=np.float64)
    offsets = 0.22 * (np.arange(len(series)) - (len(series) - 1) / 2)
    for offset, one in zip(offsets, series, strict=True):
        color = palette.metrics[one.key]
        axes.hlines(places + offset, one.low, one.high, color=color, linewidth=1.4, alpha=0.65)
        axes.plot(
            one.values,
            places + offset,
            linestyle="none",
            marker=MARKERS[one.key],
            markersize=4.5,
            color=color,
            label=one.name,
        )
    for place in places:
        if all(np.isnan(one.values[int(place)]) for one in series):
            axes.text(0.02, place, "cannot be evaluated", va="center", color=palette.quiet)
    axes.set_yticks(places, ["" for _ in rows])
    for place, (name, note) in zip(places, rows, strict=True):
        for text, shift, size, color in (
            (name, 0.5, 8, palette.ink),
            (note, -8.5, 6.5, palette.quiet),
        ):
            axes.annotate(
                text,
                (0, place),
                (-5, shift),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                fontsize=size,
                color=color,
            )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.grid(axis="x")
    if len(rows) > 1:
        axes.axhline(0.5, color=palette.axis, linewidth=0.8)
    axes.spines["left"].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(series), handletextpad=0.2)
    return figure
