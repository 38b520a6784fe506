"""An evaluation on a terminal of 80 columns: no figure of it is cut off."""

from io import StringIO

from rich.console import Console

from raddiag_hf.cli.evaluation_table import render_model
from raddiag_hf.evaluation.tables import EvaluatedModel


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
