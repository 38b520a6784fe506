"""The figures of grids: curves over each other, and those that single evaluations have drawn."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.evaluation.evaluation_folder import (
    FIGURE_FOLDER,
    FIGURE_FORMATS,
    PREDICTIONS_FILE,
)
from raddiag_hf.evaluation.figures.class_roc_figure import (
    MOST_PANELS,
    draw_class_roc,
    most_frequent_labels,
)
from raddiag_hf.evaluation.figures.evaluation_figure import EvaluationFigure
from raddiag_hf.evaluation.figures.palette import LIGHT, Palette
from raddiag_hf.evaluation.prediction_table import PredictionTable
from raddiag_hf.evaluation.report.tables import CATEGORIES, decimals, span
from raddiag_hf.labels.bands import FrequencyBand
from raddiag_hf.reproduce.grid_runs import RowRuns
from raddiag_hf.reproduce.grid_table import read_metrics
from raddiag_hf.reproduce.grids import BANDS, Grid
from raddiag_hf.reproduce.saliency_examples import write_saliency_examples

_PANEL_INCHES, _BAND_ALPHA = 2.6, 0.16
_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1.2)))


def write_figures(grid: Grid, runs: Sequence[RowRuns], dataset: str, output: Path) -> list[Path]:
    """Write the figures of a grid, of the first seed, and return their paths; tables have none.

    Args:
        grid: Which.
        runs: Its finished evaluations.
        dataset: Folder or Hub id of the cases.
        output: Folder.
    """
    if grid.name == "figure3":
        return _write(grid.name, lambda palette: draw_roc_by_band(runs, palette), output)
    if grid.name == "supplementary-figure1":
        return _write(grid.name, lambda palette: draw_head_labels(runs, palette), output)
    if grid.name == "figure4":
        examples = write_saliency_examples(
            runs[0].models[0], runs[0].evaluations[0], dataset, output / f"{grid.name}-saliency"
        )
        return [*_copy(grid.name, "probabilities", runs[0], output), *examples]
    if grid.name == "figure5":
        return _copy(grid.name, "normal_abnormal", runs[0], output)
    return []


def draw_roc_by_band(runs: Sequence[RowRuns], palette: Palette = LIGHT) -> Figure:
    """Draw mean ROC curves with their intervals.

    Label spaces have a row of panels each; head, medium and tail labels a panel; models a curve.

    Args:
        runs: Evaluations; the first word of a row is its label space, the others name its model.
        palette: Colours.

    Source:
        Paper, Figure 3. Its solid lines are medians of resampled curves; here they are the mean
        curves of the cases themselves.
    """
    spaces = list(dict.fromkeys(one.row.words[0] for one in runs))
    figure = Figure(
        figsize=(_PANEL_INCHES * len(BANDS), (_PANEL_INCHES + 0.35) * len(spaces)),
        layout="constrained",
    )
    panels = figure.subplots(len(spaces), len(BANDS), squeeze=False, sharex=True, sharey=True)
    for space, row in zip(spaces, panels, strict=True):
        models = [one for one in runs if one.row.words[0] == space]
        for band, axes in zip(BANDS, row, strict=True):
            axes.set_title(f"{space}, {CATEGORIES[band].lower()}")
            for number, one in enumerate(models):
                content = read_metrics(one.evaluations[0])
                curve, groups = content["roc"].get(band), content["groups"]
                if curve is None or curve["recalls"][0] is None:  # no label of the band is measured
                    continue
                place = groups["group"].index(band)
                color = list(palette.metrics.values())[number]
                label = f"{_modules(one)}: {decimals(groups['auc'][place])}"
                if (low := groups.get("auc_low", [None] * (place + 1))[place]) is not None:
                    label += f" ({span(low, groups['auc_high'][place])})"
                rates = curve["false_positive_rates"]
                axes.plot(
                    rates,
                    curve["recalls"],
                    color=color,
                    linestyle=_STYLES[number],
                    linewidth=1.3,
                    label=label,
                )
                if curve["low"] is not None:
                    ends = [np.array(curve[end], dtype=np.float64) for end in ("low", "high")]
                    axes.fill_between(rates, *ends, color=color, alpha=_BAND_ALPHA, linewidth=0)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(title="AUC", loc="lower right", handlelength=1.6)
            axes.axline((0, 0), slope=1, color=palette.axis, linewidth=0.8, linestyle=(0, (2, 2)))
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1.005)
            axes.grid()
    figure.supxlabel("False-positive rate", fontsize=8)
    figure.supylabel("Recall, mean over labels", fontsize=8)
    return figure


def draw_head_labels(runs: Sequence[RowRuns], palette: Palette = LIGHT) -> Figure:
    """Draw the ROC curves of single head labels, of all models over each other.

    They are those with the most positive cases; where there is no head label, any.

    Source:
        Paper, supplementary Figure 1.
    """
    tables = [PredictionTable.read(one.evaluations[0] / PREDICTIONS_FILE) for one in runs]
    first = tables[0]
    bands = read_metrics(runs[0].evaluations[0])["classes"]["group"]
    drawable = most_frequent_labels(first.targets, most=None)
    head = [column for column in drawable if bands[column] == FrequencyBand.HEAD]
    logits = {}
    for one, table in zip(runs, tables, strict=True):
        rows = {case: row for row, case in enumerate(table.case_ids)}
        logits[_modules(one)] = table.logits[[rows[case] for case in first.case_ids]]
    columns = (head or drawable)[:MOST_PANELS]
    return draw_class_roc(first.targets, logits, first.label_names, columns, palette)


def _modules(one: RowRuns) -> str:
    """Name a model by its modules."""
    _, has_fusion, has_knowledge = one.row.words
    if has_knowledge == "✓":
        return "FM + KE"
    return "FM" if has_fusion == "✓" else "neither"


def _write(name: str, draw: Callable[[Palette], Figure], output: Path) -> list[Path]:
    figure = EvaluationFigure(name, "", draw, "", "")
    paths = []
    for file_format in FIGURE_FORMATS:
        paths.append(output / f"{name}.{file_format}")
        with atomic_write(paths[-1]) as temporary:
            temporary.write_bytes(figure.render(file_format))
    return paths


def _copy(name: str, drawn: str, one: RowRuns, output: Path) -> list[Path]:
    """Copy a figure that an evaluation has; nothing where it had nothing to draw."""
    paths = []
    for file_format in FIGURE_FORMATS:
        source = one.evaluations[0] / FIGURE_FOLDER / f"{drawn}.{file_format}"
        if source.is_file():
            paths.append(output / f"{name}.{file_format}")
            with atomic_write(paths[-1]) as temporary:
                temporary.write_bytes(source.read_bytes())
    return paths
