"""Tables of evaluations, laid out as the paper's Table 2, in Markdown and in LaTeX."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.metrics.evaluation_result import Table
from raddiag_hf.reports.markdown import in_markdown

TABLE_FILES = ("table.md", "table.tex")

METRICS = {
    "auc": "AUC",
    "ap": "AP",
    "f1": "F1",
    "mcc": "MCC",
    "recall_at_fpr_0.01": "R@0.01",
    "recall_at_fpr_0.05": "R@0.05",
    "recall_at_fpr_0.1": "R@0.1",
}
"""The columns of the paper's Table 2."""

CATEGORIES = {"head": "Head", "body": "Medium", "tail": "Tail", "all": "All"}
"""Groups as the paper names them."""

UNDEFINED = "–"


@dataclass(frozen=True)
class EvaluatedModel:
    """One model's rows of the table.

    Attributes:
        name: What to call it.
        granularity: What was predicted: label column, split and data set. Models are compared
            within it.
        groups: What `EvaluationResult.group_table` returns.
    """

    name: str
    granularity: str
    groups: Table


@dataclass(frozen=True)
class TableCell:
    """A metric as a fraction; None where it is undefined or has no interval.

    Attributes:
        value: The mean.
        low: Lower end of its interval.
        high: Upper end.
        is_best: Whether it is the best of those compared.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    is_best: bool = False

    def in_percent(self, digits: int = 2) -> tuple[str, str]:
        """Return the value and its interval as text, ``""`` where there is none."""
        if self.value is None:
            return UNDEFINED, ""
        text = f"{100 * self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return text, ""
        return text, f"({100 * self.low:.{digits}f}, {100 * self.high:.{digits}f})"


@dataclass(frozen=True)
class TableRow:
    """One model in one category; ``cells`` are in the order of `metric_columns`."""

    granularity: str
    category: str
    model: str
    classes: str
    cells: tuple[TableCell, ...]


def markdown_table(models: Sequence[EvaluatedModel], notes: Sequence[str] = ()) -> str:
    """Return the table as Markdown.

    Args:
        models: At least one; rows are sorted by granularity, category and model, in this order.
        notes: Sentences below it.
    """
    metrics = metric_columns(models)
    header = ("Granularity", "Category", "Model", "Classes", *(METRICS[name] for name in metrics))
    lines = [header, ["---"] * 3 + ["---:"] * (len(header) - 3)]
    above: tuple[str, str] | None = None
    for row in table_rows(models):
        place = (row.granularity, row.category)
        shown = [
            "" if above is not None and above[0] == place[0] else place[0],
            "" if above == place else place[1],
        ]
        above = place
        cells = [_markdown_cell(cell) for cell in row.cells]
        lines.append([in_markdown(text) for text in (*shown, row.model, row.classes)] + cells)
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([text, *notes]) + "\n"


def latex_table(models: Sequence[EvaluatedModel], notes: Sequence[str] = ()) -> str:
    """Return the table as LaTeX; it needs the packages ``booktabs`` and ``multirow``.

    Args:
        models: As in `markdown_table`.
        notes: Sentences of the caption.
    """
    metrics = metric_columns(models)
    header = ["Granularity", "Category", "Model", "Classes", *(METRICS[name] for name in metrics)]
    lines = [
        r"% \usepackage{booktabs,multirow}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{' '.join(map(_in_latex, notes))}}}",
        rf"\begin{{tabular}}{{lll{'r' * (len(header) - 3)}}}",
        r"\toprule",
        _latex_line(header),
    ]
    for granularity, same in groupby(table_rows(models), lambda row: row.granularity):
        rows = list(same)
        first = _spanning(granularity, len(rows))
        separator = r"\midrule"
        for category, in_category in groupby(rows, lambda row: row.category):
            members = list(in_category)
            second = _spanning(category, len(members))
            lines.append(separator)
            separator = rf"\cmidrule{{2-{len(header)}}}"
            for row in members:
                cells = [_latex_cell(cell) for cell in row.cells]
                names = [_in_latex(row.model), _in_latex(row.classes)]
                lines.append(_latex_line([first, second, *names, *cells]))
                first = second = ""
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def write_tables(
    folder: Path, models: Sequence[EvaluatedModel], notes: Sequence[str] = ()
) -> tuple[Path, Path]:
    """Write ``table.md`` and ``table.tex``, and return their paths."""
    paths = folder / TABLE_FILES[0], folder / TABLE_FILES[1]
    for path, text in zip(
        paths, (markdown_table(models, notes), latex_table(models, notes)), strict=True
    ):
        with atomic_write(path) as temporary:
            temporary.write_text(text, "utf-8")
    return paths


def metric_columns(models: Sequence[EvaluatedModel]) -> list[str]:
    """Return the metrics of the table, as `METRICS` names them."""
    return [name for name in METRICS if any(name in model.groups for model in models)]


def table_rows(models: Sequence[EvaluatedModel]) -> list[TableRow]:
    """Return the rows in order; groups without a class have none."""
    metrics = metric_columns(models)
    rows = []
    for granularity in dict.fromkeys(model.granularity for model in models):
        compared = [model for model in models if model.granularity == granularity]
        for group, category in CATEGORIES.items():
            members = [
                (model, model.groups["group"].index(group))
                for model in compared
                if group in model.groups["group"]
            ]
            members = [(model, at) for model, at in members if model.groups["classes"][at]]
            best = {name: _best(members, name) for name in metrics}
            rows += [
                TableRow(
                    granularity,
                    category,
                    model.name,
                    f"{model.groups['evaluated'][at]} of {model.groups['classes'][at]}",
                    tuple(_cell(model.groups, name, at, best[name]) for name in metrics),
                )
                for model, at in members
            ]
    return rows


def count(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``"1 case"`` or ``"7,772 cases"``."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def decimals(value: float) -> str:
    """Return a number with three decimals, its sign a true minus."""
    return f"{value:.3f}".replace("-", "−")


def span(low: float, high: float) -> str:
    """Return an interval; a dash would be read as a sign beside a negative number."""
    return f"{decimals(low)}{' to ' if low < 0 else '–'}{decimals(high)}"


def value_cell(table: Table, metric: str, row: int) -> str:
    """Return a value of a table, and below it the interval where there is one.

    Args:
        table: `EvaluationResult.group_table` or `EvaluationResult.class_table`.
        metric: Column.
        row: Row.
    """
    value = table[metric][row]
    if value is None:
        return UNDEFINED
    if f"{metric}_low" not in table or table[f"{metric}_low"][row] is None:
        return decimals(value)
    return f"{decimals(value)}\n{span(table[f'{metric}_low'][row], table[f'{metric}_high'][row])}"


def _best(members: Sequence[tuple[EvaluatedModel, int]], metric: str) -> float | None:
    """Return the best value of a column; None where there is nothing to compare."""
    values = [model.groups[metric][at] for model, at in members if metric in model.groups]
    values = [value for value in values if value is not None]
    return max(values) if len(values) > 1 else None


def _cell(
    groups: Mapping[str, list[float | None]], metric: str, at: int, best: float | None
) -> TableCell:
    ends = (groups.get(f"{metric}{end}") for end in ("", "_low", "_high"))
    value, low, high = (None if column is None else column[at] for column in ends)
    return TableCell(value, low, high, is_best=value is not None and value == best)


def _spanning(text: str, rows: int) -> str:
    return rf"\multirow{{{rows}}}{{*}}{{{_in_latex(text)}}}"


def _markdown_cell(cell: TableCell) -> str:
    value, interval = cell.in_percent()
    value = f"**{value}**" if cell.is_best else value
    return f"{value} {interval}" if interval else value


def _latex_cell(cell: TableCell) -> str:
    value, interval = cell.in_percent()
    value = value.replace(UNDEFINED, "--")
    value = rf"\textbf{{{value}}}" if cell.is_best else value
    return rf"{value} {{\scriptsize {interval}}}" if interval else value


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _in_latex(text: str) -> str:
    special: dict[str, str | int | None] = {character: rf"\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return text.translate(str.maketrans(special))
