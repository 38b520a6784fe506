"""ROC curves of single labels, of several models in one figure."""

from dataclasses import replace

import numpy as np
from sklearn.metrics import roc_auc_score

from raddiag_hf.evaluation.figures.class_roc_figure import draw_class_roc, most_frequent_labels
from raddiag_hf.evaluation.figures.evaluation_figure import evaluation_figures
from raddiag_hf.evaluation.figures.palette import LIGHT
from tests.fixtures.evaluations import make_evaluation
from tests.fixtures.prediction_tables import make_predictions


def test_every_model_has_a_curve_in_the_panel_of_each_label():
    generator = np.random.default_rng(0)
    labels = generator.random((60, 4)) < [0.3, 0.5, 0.0, 0.1]
    logits = {name: generator.normal(size=labels.shape) for name in ("FM", "FM and KE")}
    columns = most_frequent_labels(labels)
    assert columns == [1, 0, 3]  # the third has no positive
    figure = draw_class_roc(labels, logits, ("a", "b", "c", "d"), columns)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["FM", "FM and KE"]
    for axes, column in zip(figure.axes, columns, strict=True):
        assert axes.get_title() == f"{'abcd'[column]}\n{labels[:, column].sum()} positives"
        for scores, line in zip(logits.values(), axes.lines, strict=False):
            area = roc_auc_score(labels[:, column], scores[:, column])
            assert np.isclose(np.trapezoid(line.get_ydata(), line.get_xdata()), area)
            assert line.get_label() == f"{area:.3f}"
        assert len(axes.get_legend().get_texts()) == 2


def test_unknown_labels_are_in_no_curve():
    labels = np.array([[1.0], [0.0], [np.nan], [1.0]])
    scores = {"model": np.array([[2.0], [1.0], [9.0], [3.0]])}
    figure = draw_class_roc(labels, scores, ["a"], most_frequent_labels(labels))
    assert figure.axes[0].get_title() == "a\n2 positives"
    assert figure.axes[0].lines[0].get_label() == "1.000"


def test_the_figure_of_an_evaluation_is_of_the_known_cases():
    table = make_predictions()
    unknown = (np.random.default_rng(0).random(table.labels.shape) < 0.5) & ~table.labels
    evaluation = make_evaluation(replace(table, unknown=unknown))
    (figure,) = [one for one in evaluation_figures(evaluation) if one.name == "class_roc"]
    panels = figure.draw(LIGHT).axes
    told = {axes.get_title().split("\n")[0]: axes.lines[0].get_label() for axes in panels}
    areas = evaluation.result.per_class["auc"]
    columns = [table.label2id[name] for name in told]
    assert list(told.values()) == [f"{areas[column]:.3f}" for column in columns]
    for column in columns:
        known = ~unknown[:, column]
        area = roc_auc_score(table.labels[known, column], table.logits[known, column])
        assert np.isclose(areas[column], area)
