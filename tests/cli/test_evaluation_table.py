"""An evaluation on a terminal of 80 columns: no figure of it is cut off."""

from io import StringIO

from rich.console import Console

from raddiag_hf.cli.evaluation_table import (
    render_comparison,
    render_model,
    render_normal_cases,
)
from raddiag_hf.evaluation.report.tables import EvaluatedModel

GROUPS = {"group": ["all"], "classes": [2], "evaluated": [2], "auc": [0.5]}


def printed(table):
    output = StringIO()
    Console(file=output, width=120).print(table)
    return output.getvalue()


def test_intervals_of_four_groups_fit_a_narrow_terminal():
    groups = {
        "group": ["head", "body", "tail", "all"],
        "classes": [1000] * 4,
        "evaluated": [1000] * 4,
        "without_positives": [0] * 4,
        "without_negatives": [0] * 4,
        "auc": [1.0] * 4,
        "auc_low": [1.0] * 4,
        "auc_high": [1.0] * 4,
        "recall_at_fpr_0.05": [1.0] * 4,
        "recall_at_fpr_0.05_low": [1.0] * 4,
        "recall_at_fpr_0.05_high": [1.0] * 4,
    }
    output = StringIO()
    table = render_model(EvaluatedModel("model", "disorders", groups))
    Console(file=output, width=80).print(table)
    text = output.getvalue()
    assert text.count("(100.0, 100.0)") == 8
    assert "R@0.05" in text
    assert "…" not in text


def test_names_with_brackets_are_shown_as_they_are():
    models = [EvaluatedModel(f"[/{name}]", f"[/data{name}]: labels", GROUPS) for name in "ab"]
    shown = printed(render_comparison(models, {}))
    assert all(name in shown for name in ("[/a]", "[/b]", "[/dataa]", "[/datab]"))
    assert "[/normal]" in printed(
        render_normal_cases({"normal_label": "[/normal]", "normal_abnormal": []})
    )
