"""An evaluation on the terminal: the paper's Table 2, the normal cases, and what to know."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raddiag_hf.evaluation.report.tables import (
    CATEGORIES,
    METRICS,
    UNDEFINED,
    EvaluatedModel,
    TableCell,
    TableRow,
    metric_columns,
    table_rows,
)

NORMAL_METRICS = ("auc", "ap", "recall_at_fpr_0.05")
"""The columns of the paper's Figure 5a."""


def render_model(model: EvaluatedModel) -> Table:
    """Return one row per metric and one column per category, with intervals."""
    rows = table_rows([model])
    table = _table("")
    for row in rows:
        header = Text(row.category, style="bold").append(f"\n{row.classes}", style="dim")
        table.add_column(header, justify="right", no_wrap=True)
    for number, metric in enumerate(metric_columns([model])):
        cells = (_cell(row.cells[number], separator="\n") for row in rows)  # four fit 80 columns
        table.add_row(METRICS[metric], *cells)
    return table


def render_comparison(
    models: Sequence[EvaluatedModel], paired: Mapping[str, Mapping[str, Sequence[Any]]]
) -> Table:
    """Return one row per category, metric and model; the best value is bold.

    Args:
        models: The first is the baseline.
        paired: By model, what `PairedComparison.group_table` returned for its difference from the
            baseline.
    """
    table = _table("Category", "Metric", "Model")
    for name in ("Value", "Difference", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    by_place: dict[tuple[str, str], list[TableRow]] = {}
    for row in table_rows(models):
        by_place.setdefault((row.granularity, row.category), []).append(row)
    several = len({model.granularity for model in models}) > 1
    for (granularity, category), rows in by_place.items():
        shown = f"{granularity}\n{category}" if several else category
        for number, metric in enumerate(metric_columns(models)):
            name = METRICS[metric]
            for row in rows:
                difference = _difference(paired.get(row.model), category, metric)
                cells = Text(shown), name, Text(row.model), _cell(row.cells[number])
                table.add_row(*cells, *difference)
                shown = name = ""
        table.add_section()
    return table


def render_normal_cases(breakdown: Mapping[str, Any]) -> Table:
    """Return normal against abnormal: all cases first, then each region."""
    table = _table("", str(breakdown["normal_label"]))
    for metric in NORMAL_METRICS:
        table.add_column(METRICS[metric], justify="right")
    for row in breakdown["normal_abnormal"]:
        ends = ("", "_low", "_high")
        cells = [
            _cell(TableCell(*(row.get(f"{metric}{end}") for end in ends)))
            for metric in NORMAL_METRICS
        ]
        cases = f"{row['normal']} of {row['normal'] + row['abnormal']}"
        table.add_row(row["name"].capitalize(), cases, *cells)
    return table


def below(notes: Sequence[str], warnings: Sequence[str] = ()) -> RenderableType:
    """Return notes and warnings, set flush with the text of a table above."""
    lines = [Text(note, style="dim") for note in notes]
    lines += [Text(f"Note: {warning}", style="yellow") for warning in warnings]
    return Padding(Group(*lines), (0, 1, 1, 1))


def _difference(
    paired: Mapping[str, Sequence[Any]] | None, category: str, metric: str
) -> tuple[Text, str]:
    """Return a difference in percentage points with its interval, and its p-value."""
    if paired is None:
        return Text(), ""
    for index, (group, name) in enumerate(zip(paired["group"], paired["metric"], strict=True)):
        if CATEGORIES.get(group) == category and name == metric:
            value, low, high, p_value = (
                paired[column][index] for column in ("difference", "low", "high", "p_value")
            )
            if value is None or p_value is None:
                break
            interval = "" if low is None else f" ({100 * low:+.1f}, {100 * high:+.1f})"
            return Text(f"{100 * value:+.1f}").append(interval, style="dim"), f"{p_value:.3f}"
    return Text(UNDEFINED), ""


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    for name in names:
        table.add_column(Text(name), no_wrap=name != "Model", overflow="fold")
    return table


def _cell(cell: TableCell, separator: str = " ") -> Text:
    value, interval = cell.in_percent(digits=1)
    text = Text(value, style="bold" if cell.is_best else "")
    return text.append(f"{separator}{interval}", style="dim") if interval else text
