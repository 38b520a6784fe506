"""Who is diagnosed how well: mean AUC and AP of the cases of each modality or region."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from raddiag_hf.evaluation.breakdown import Subgroup
from raddiag_hf.evaluation.figures.interval_rows import IntervalSeries, draw_interval_rows
from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.evaluation.report.report_wording import count
from raddiag_hf.metrics.evaluation_result import EvaluationResult
from raddiag_hf.metrics.predictions import ALL

METRICS = {"auc": "AUC", "ap": "AP"}


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
    for metric, name in METRICS.items():
        nothing = np.full(len(results), np.nan)
        low, high = nothing.copy(), nothing
        for row, result in enumerate(results):
            if result.intervals is not None:
                ends = result.intervals.macro[ALL][metric]
                low[row], high[row] = ends.low, ends.high
        values = np.array([result.groups[ALL].values[metric] for result in results])
        series.append(IntervalSeries(metric, name, values, low, high))
    return draw_interval_rows(rows, series, palette)
