"""How an evaluation's numbers are written in its report and its figures."""

from raddiag_hf.evaluation.report.tables import UNDEFINED
from raddiag_hf.metrics.evaluation_result import Table


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
