"""The paper's Figure 5a: normal against abnormal, by region of the body."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from raddiag_hf.evaluation.breakdown import Subgroup
from raddiag_hf.evaluation.figures.interval_rows import IntervalSeries, draw_interval_rows
from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.metrics.predictions import ALL

METRICS = {
    "auc": ("auc", "AUC"),
    "ap": ("ap", "AP"),
    "recall_at_fpr_0.05": ("recall", "Recall@0.05"),
}


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
    for metric, (key, name) in METRICS.items():
        nothing = np.full(len(subgroups), np.nan)
        low, high = nothing.copy(), nothing
        for row, one in enumerate(subgroups):
            if one.result.intervals is not None:
                ends = one.result.intervals.per_class[metric]
                low[row], high[row] = ends.low[0], ends.high[0]
        values = np.array([one.result.per_class[metric][0] for one in subgroups])
        series.append(IntervalSeries(key, name, values, low, high))
    return draw_interval_rows(rows, series, palette)
