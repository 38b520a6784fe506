"""Mean precision-recall curves of head, medium and tail classes."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from raddiag_hf.evaluation.figures.group_curves import (
    GroupCurve,
    draw_group_curves,
    evaluated_groups,
)
from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.mean_curves import PrecisionRecallCurve


def draw_precision_recall(
    result: EvaluationResult,
    curves: Mapping[str, PrecisionRecallCurve],
    palette: Palette = LIGHT,
) -> Figure:
    """Draw the mean precision-recall curve of each group of classes, with its band.

    Args:
        result: Average precisions and numbers of classes.
        curves: What `mean_precision_recall` returned for the same predictions.
        palette: Colours.
    """
    found = {name: curves[name] for name in evaluated_groups(result)}
    points = {
        name: GroupCurve(one.recalls, one.precisions, one.low, one.high)
        for name, one in found.items()
    }
    title = "Average precision, mean over labels"
    figure = draw_group_curves(result, points, "ap", title, palette)
    figure.axes[0].set_xlabel(f"Recall (n = {result.num_cases:,} cases)")
    figure.axes[0].set_ylabel("Precision, mean over labels")
    return figure
