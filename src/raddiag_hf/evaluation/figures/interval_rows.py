"""Values with their intervals, one row per subgroup of the cases."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raddiag_hf.evaluation.figures.palette import COLUMN_INCHES, Palette

ROW_INCHES = 0.36
MARKERS = {"auc": "o", "ap": "s", "recall": "^"}


@dataclass(frozen=True)
class IntervalSeries:
    """One metric in every row: its key in the palette, its name, and arrays of shape ``(rows,)``.

    Values are NaN in rows that cannot be evaluated; ``low`` and ``high`` are NaN without intervals.
    """

    key: str
    name: str
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def draw_interval_rows(
    rows: Sequence[tuple[str, str]], series: Sequence[IntervalSeries], palette: Palette
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
