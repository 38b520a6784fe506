"""One mean curve per group of classes, each with its band."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raddiag_hf.evaluation.figures.palette import COLUMN_INCHES, LINE_STYLES, Palette
from raddiag_hf.evaluation.report.report_wording import count, decimals, span
from raddiag_hf.evaluation.report.tables import CATEGORIES
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.predictions import ALL

_ALPHA = 0.16
_TOP_INCHES, _LINE_INCHES = 0.25, 0.145


@dataclass(frozen=True)
class GroupCurve:
    """Points of a curve, and the ends of its band; arrays of one shape."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


def draw_group_curves(
    result: EvaluationResult,
    curves: Mapping[str, GroupCurve],
    metric: str,
    title: str,
    palette: Palette,
) -> Figure:
    """Draw curves over [0, 1] on a square, that of all classes on top.

    The legend stands above, because curves can lie in any corner.

    Args:
        result: Means and numbers of classes.
        curves: By group, such as `evaluated_groups` returns.
        metric: The area under the curves.
        title: Of the legend.
        palette: Colours.
    """
    height = COLUMN_INCHES + _TOP_INCHES + _LINE_INCHES * len(curves)
    figure = Figure(figsize=(COLUMN_INCHES, height), layout="constrained")
    axes = figure.subplots()
    lines = []
    for name, curve in curves.items():
        color = palette.groups.get(name, palette.quiet)
        style = LINE_STYLES.get(name, "-")
        lines += axes.plot(
            curve.x, curve.y, color=color, linestyle=style, linewidth=1.6, label=name, zorder=3
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(
                curve.x, curve.low, curve.high, color=color, alpha=_ALPHA, linewidth=0, label=name
            )
    labels = [_label(result, name, metric) for name in curves]
    figure.legend(lines, labels, title=title, alignment="left", loc="outside upper left")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.005)
    axes.grid()
    return figure


def evaluated_groups(result: EvaluationResult) -> list[str]:
    """Return the groups with a class that can be evaluated, all classes last.

    A group that is all of them is left out.
    """
    everything = len(result.class_names)
    return [
        name
        for name, group in result.groups.items()
        if group.evaluated and (name == ALL or len(group.classes) < everything)
    ]


def _label(result: EvaluationResult, group: str, metric: str) -> str:
    found = result.groups[group]
    text = f"{CATEGORIES.get(group, group)} {decimals(found.values[metric])}"
    if result.intervals is not None:
        ends = result.intervals.macro[group][metric]
        text += f" ({span(float(ends.low), float(ends.high))})"
    return f"{text}, {count(found.evaluated, 'label')}"
