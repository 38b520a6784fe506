"""The paper's Figure 3: mean ROC curves of head, medium and tail classes."""

from matplotlib.figure import Figure

from raddiag_hf.evaluation.figures.group_curves import (
    GroupCurve,
    draw_group_curves,
    evaluated_groups,
)
from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.metrics.evaluation_result import EvaluationResult


def draw_roc(result: EvaluationResult, palette: Palette = LIGHT) -> Figure:
    """Draw the mean ROC curve of each group of classes, with its bootstrap band.

    Groups without a class that can be evaluated have no curve.

    Source:
        Paper, Figure 3. There the solid line is the median of resampled curves; here it is the mean
        curve of the cases themselves, and the band comes from resamples of them.
    """
    curves = {}
    for name in evaluated_groups(result):
        roc = result.roc[name]
        curves[name] = GroupCurve(roc.false_positive_rates, roc.recalls, roc.low, roc.high)
    figure = draw_group_curves(result, curves, "auc", "AUC, mean over labels", palette)
    axes = figure.axes[0]
    axes.axline((0, 0), slope=1, color=palette.axis, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlabel(f"False-positive rate (n = {result.num_cases:,} cases)")
    axes.set_ylabel("Recall, mean over labels")
    return figure
