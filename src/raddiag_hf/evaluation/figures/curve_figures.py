"""Mean ROC and precision-recall curves of head, medium and tail classes, each with its band."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raddiag_hf.evaluation.figures.palette import COLUMN_INCHES, LIGHT, LINE_STYLES, Palette
from raddiag_hf.evaluation.report.tables import CATEGORIES, count, decimals, span
from raddiag_hf.labels.bands import BandRule, FrequencyBand
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.mean_curves import PrecisionRecallCurve
from raddiag_hf.metrics.predictions import ALL

_ALPHA = 0.16
_TOP_INCHES, _LINE_INCHES = 0.25, 0.145


@dataclass(frozen=True)
class _GroupCurve:
    """Points of a curve, and the ends of its band; arrays of one shape."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None
    high: NDArray[np.float64] | None


def draw_roc(
    result: EvaluationResult, bands: BandRule | None = None, palette: Palette = LIGHT
) -> Figure:
    """Draw the mean ROC curve of each group of classes, with its bootstrap band.

    Groups without a class that can be evaluated have no curve.

    Args:
        result: What `evaluate_predictions` returned.
        bands: How classes were sorted into groups, for the legend; None for one group.
        palette: Colours.

    Source:
        Paper, Figure 3. There the solid line is the median of resampled curves; here it is the mean
        curve of the cases themselves, and the band comes from resamples of them.
    """
    curves = {}
    for name in _evaluated_groups(result):
        roc = result.roc[name]
        curves[name] = _GroupCurve(roc.false_positive_rates, roc.recalls, roc.low, roc.high)
    figure = _draw_group_curves(result, curves, "auc", "AUC, mean over labels", bands, palette)
    axes = figure.axes[0]
    axes.axline((0, 0), slope=1, color=palette.axis, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlabel(f"False-positive rate (n = {result.num_cases:,} cases)")
    axes.set_ylabel("Recall, mean over labels")
    return figure


def draw_precision_recall(
    result: EvaluationResult,
    curves: Mapping[str, PrecisionRecallCurve],
    bands: BandRule | None = None,
    palette: Palette = LIGHT,
) -> Figure:
    """Draw the mean precision-recall curve of each group of classes, with its band.

    Args:
        result: Average precisions and numbers of classes.
        curves: What `mean_precision_recall` returned for the same predictions.
        bands: As in `draw_roc`.
        palette: Colours.
    """
    found = {name: curves[name] for name in _evaluated_groups(result)}
    points = {
        name: _GroupCurve(one.recalls, one.precisions, one.low, one.high)
        for name, one in found.items()
    }
    title = "Average precision, mean over labels"
    figure = _draw_group_curves(result, points, "ap", title, bands, palette)
    figure.axes[0].set_xlabel(f"Recall (n = {result.num_cases:,} cases)")
    figure.axes[0].set_ylabel("Precision, mean over labels")
    return figure


def _draw_group_curves(
    result: EvaluationResult,
    curves: Mapping[str, _GroupCurve],
    metric: str,
    title: str,
    bands: BandRule | None,
    palette: Palette,
) -> Figure:
    """Draw curves over [0, 1] on a square, that of all classes on top.

    The legend stands above, because curves can lie in any corner.

    Args:
        result: Means and numbers of classes.
        curves: By group, such as `_evaluated_groups` returns.
        metric: The area under the curves.
        title: Of the legend.
        bands: What the groups go by.
        palette: Colours.
    """
    if bands is not None:
        title += f"\n{'/'.join(CATEGORIES[band] for band in FrequencyBand)} by {bands.cases}"
    height = COLUMN_INCHES + _TOP_INCHES + _LINE_INCHES * (len(curves) + (bands is not None))
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


def _evaluated_groups(result: EvaluationResult) -> list[str]:
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
        if not np.isnan(ends.low):
            text += f" ({span(float(ends.low), float(ends.high))})"
    return f"{text}, {count(found.evaluated, 'label')}"
