"""The classes that a model knows best and worst, as sections of a report."""

from collections.abc import Sequence

import numpy as np

from raddiag_hf.evaluation.report.report_wording import count, value_cell
from raddiag_hf.evaluation.report.tables import METRICS, UNDEFINED
from raddiag_hf.metrics.evaluation_result import EvaluationResult, Table
from raddiag_hf.reports.sections import TableSection

MOST_IN_ONE_TABLE = 24
"""Up to so many classes are shown in one table; of more, the best and the worst."""

MOST_IN_HALF = 10
FEWEST_POSITIVES = 5
"""Positives that a class needs to be called best or worst, where there are such classes."""

CLASS_METRICS = ("auc", "ap", "f1", "recall_at_fpr_0.05")


def class_tables(result: EvaluationResult) -> list[TableSection]:
    """Return the classes by AUC: all in one table, or the best and the worst in two.

    Of many classes, those with fewer than five positive cases are left out, because chance alone
    puts them at either end; unless all are so rare.
    """
    auc = result.per_class["auc"]
    evaluated = np.flatnonzero(~np.isnan(auc))
    if not len(evaluated):
        return []
    table = result.class_table()
    if len(evaluated) <= MOST_IN_ONE_TABLE:
        ranked = evaluated[np.argsort(-auc[evaluated], kind="stable")]
        return [_section("Labels, best first", table, ranked.tolist(), "Sorted by AUC.")]
    frequent = evaluated[result.positives[evaluated] >= FEWEST_POSITIVES]
    caption = f"By AUC, of the {count(len(frequent), 'label')} with {FEWEST_POSITIVES} positive "
    caption += "cases or more."
    if not len(frequent):
        frequent, caption = evaluated, f"By AUC, of {count(len(evaluated), 'label')}."
    ranked = frequent[np.argsort(-auc[frequent], kind="stable")]
    half = min(MOST_IN_HALF, -(-len(ranked) // 2))
    worst = ranked[half:][::-1][:MOST_IN_HALF]
    sections = [_section("Best labels", table, ranked[:half].tolist(), caption)]
    if len(worst):
        sections.append(_section("Worst labels", table, worst.tolist(), caption))
    return sections


def _section(title: str, table: Table, classes: Sequence[int], caption: str) -> TableSection:
    metrics = [name for name in CLASS_METRICS if name in table]
    has_thresholds = "threshold" in table
    rows = []
    for column in classes:
        cells = [table["class"][column], f"{table['positives'][column]:,}"]
        cells += [value_cell(table, metric, column) for metric in metrics]
        if has_thresholds:
            threshold = table["threshold"][column]
            cells.append(UNDEFINED if threshold is None else f"{threshold:.3g}")
        rows.append(cells)
    columns = ["", "Positives", *(METRICS[name] for name in metrics)]
    return TableSection(title, columns + ["Threshold"] * has_thresholds, rows, caption)
