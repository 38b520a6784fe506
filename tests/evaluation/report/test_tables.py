"""The paper's Table 2, in Markdown and LaTeX."""

import numpy as np
import pytest

from raddiag_hf.evaluation.report.tables import (
    EvaluatedModel,
    latex_table,
    markdown_table,
    write_tables,
)
from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions
from tests.fixtures.prediction_tables import make_predictions

GROUPS = {"head": np.array([0, 1]), "body": np.array([2, 3]), "tail": np.array([4, 5])}


def evaluated(name, separation=2.0, granularity="cases: labels, test", **options):
    table = make_predictions(separation=separation)
    result = evaluate_predictions(
        table.labels, table.logits, thresholds=[0.2] * 6, groups=GROUPS, **options
    )
    return EvaluatedModel(name, granularity, result.group_table())


def cells(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_rows_are_categories_and_columns_the_papers_metrics():
    lines = markdown_table([evaluated("one")]).splitlines()
    assert cells(lines[0]) == [
        *("Granularity", "Category", "Model", "Classes"),
        *("AUC", "AP", "F1", "MCC", "R@0.01", "R@0.05", "R@0.1"),
    ]
    assert [cells(line)[1] for line in lines[2:6]] == ["Head", "Medium", "Tail", "All"]


def test_values_are_percent_with_their_intervals():
    model = evaluated("one", bootstrap=BootstrapSettings(resamples=50))
    (line,) = [line for line in markdown_table([model]).splitlines() if "| All |" in line]
    value, low, high = (100 * model.groups[f"auc{end}"][3] for end in ("", "_low", "_high"))
    assert cells(line)[4] == f"{value:.2f} ({low:.2f}, {high:.2f})"


def test_the_best_of_several_models_is_bold():
    models = [evaluated("poor", 0.5), evaluated("good", 4.0)]
    lines = markdown_table(models).splitlines()[2:10]
    assert [cells(line)[2] for line in lines] == ["poor", "good"] * 4
    for poor, good in zip(lines[::2], lines[1::2], strict=True):
        assert not cells(poor)[4].startswith("**")
        assert cells(good)[4].startswith("**")
    assert "**" not in markdown_table(models[:1])


def test_models_are_compared_within_their_data_only():
    models = [evaluated("poor", 0.5), evaluated("good", 4.0, granularity="cases: icd10, test")]
    assert "**" not in markdown_table(models)
    assert latex_table(models).count(r"\multirow{4}{*}{cases: ") == 2


def test_undefined_metrics_are_dashes_and_empty_groups_have_no_row():
    model = evaluated("one")
    model.groups["classes"][1] = 0
    model.groups["mcc"][0] = None
    text = markdown_table([model])
    assert "Medium" not in text
    assert cells(text.splitlines()[2])[7] == "–"


def test_a_group_of_which_nothing_can_be_evaluated_is_shown():
    table = make_predictions()
    table.labels[:, GROUPS["tail"]] = False
    result = evaluate_predictions(table.labels, table.logits, groups=GROUPS)
    text = markdown_table([EvaluatedModel("one", "cases", result.group_table())])
    (line,) = [line for line in text.splitlines() if "| Tail |" in line]
    assert cells(line)[3:] == ["0 of 2", *("–" for _ in range(5))]


def test_a_model_without_thresholds_has_no_f1_column():
    table = make_predictions()
    result = evaluate_predictions(table.labels, table.logits)
    text = markdown_table([EvaluatedModel("one", "cases", result.group_table())])
    assert "F1" not in text
    assert "AUC" in text


def test_latex_has_as_many_cells_in_every_row():
    models = [evaluated("one"), evaluated("two", 1.0)]
    text = latex_table(models, ["All in percent."])
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {row.count("&") for row in rows} == {10}
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\caption{All in percent.}" in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_b&c%", r"a\_b\&c\%"),
        (r"c:\x{1}", r"c:\textbackslash{}x\{1\}"),
        ("~^", r"\textasciitilde{}\textasciicircum{}"),
    ],
)
def test_names_are_text_in_latex(name, expected):
    assert expected in latex_table([evaluated(name)])


def test_both_files_are_written(tmp_path):
    paths = write_tables(tmp_path, [evaluated("one")], ["A note."])
    assert [path.name for path in paths] == ["table.md", "table.tex"]
    assert all("A note." in path.read_text() for path in paths)
