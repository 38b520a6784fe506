"""ROC curves of single labels, of several models in one figure."""

import numpy as np
from sklearn.metrics import roc_auc_score

from raddiag_hf.evaluation.figures.class_roc_figure import draw_class_roc, most_frequent_labels


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
