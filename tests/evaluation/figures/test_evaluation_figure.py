"""The figures of an evaluation show its numbers, and nothing where there is nothing to show."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import StepPatch

from raddiag_hf.evaluation.evaluation_folder import FIGURE_NAMES
from raddiag_hf.evaluation.figures.calibration_figure import draw_calibration
from raddiag_hf.evaluation.figures.curve_figures import draw_precision_recall, draw_roc
from raddiag_hf.evaluation.figures.evaluation_figure import (
    evaluation_figures,
    save_figures,
)
from raddiag_hf.evaluation.figures.palette import DARK, LIGHT
from raddiag_hf.evaluation.figures.probability_figure import (
    case_kinds,
    draw_probabilities,
    example_classes,
)
from raddiag_hf.evaluation.figures.subgroup_figures import draw_breakdown, draw_normal_abnormal
from raddiag_hf.metrics import BootstrapSettings, evaluate_predictions, reliability
from raddiag_hf.metrics.mean_curves import mean_precision_recall
from tests.fixtures.evaluations import make_evaluation
from tests.fixtures.prediction_tables import make_predictions


@pytest.fixture(scope="module")
def evaluation():
    return make_evaluation()


def lines_of(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_roc_curves_and_bands_are_those_of_the_result(evaluation):
    result = evaluation.result
    figure = draw_roc(result)
    axes = figure.axes[0]
    bands = {band.get_label(): band for band in axes.collections}
    drawn = [name for name, group in result.groups.items() if group.evaluated]
    assert len(drawn) > 2
    for name in drawn:
        curve = result.roc[name]
        np.testing.assert_array_equal(lines_of(axes)[name].get_ydata(), curve.recalls)
        corners = bands[name].get_paths()[0].vertices
        assert corners[:, 1].min() == pytest.approx(curve.low.min())
        assert corners[:, 1].max() == pytest.approx(curve.high.max())
    ends = result.intervals.macro["all"]["auc"]
    mean = result.groups["all"].values["auc"]
    assert legend_of(figure)[-1] == f"All {mean:.3f} ({ends.low:.3f}–{ends.high:.3f}), 6 labels"
    assert "n = 120 cases" in axes.get_xlabel()


def test_what_does_not_vary_between_resamples_is_shown_without_an_interval():
    labels, same = np.tile([[1.0, 0.0], [0.0, 1.0]], (20, 1)), np.zeros((40, 2))
    bootstrap = BootstrapSettings(resamples=100)
    roc = draw_roc(evaluate_predictions(labels, same, bootstrap=bootstrap))
    assert legend_of(roc) == ["All 0.500, 2 labels"]
    certain = reliability(labels, 2e3 * labels - 1e3, bootstrap=bootstrap)
    assert certain.to_dict()["error_low"] is None
    assert not any("nan" in text for text in legend_of(draw_calibration(certain)))


def test_precision_recall_curves_are_those_of_the_predictions(evaluation):
    table = evaluation.table
    curves = mean_precision_recall(table.labels, table.logits, groups=evaluation.groups)
    figure = draw_precision_recall(evaluation.result, curves)
    drawn = lines_of(figure.axes[0])["all"]
    np.testing.assert_array_equal(drawn.get_ydata(), curves["all"].precisions)
    assert f"All {evaluation.result.groups['all'].values['ap']:.3f} (" in legend_of(figure)[-1]


def test_without_a_bootstrap_curves_have_no_band_and_no_interval():
    figure = draw_roc(make_evaluation(resamples=0).result)
    assert not figure.axes[0].collections
    assert not any("(" in text for text in legend_of(figure))


def test_calibration_shows_both_temperatures_and_counts(evaluation):
    table = evaluation.table
    found = reliability(table.labels, table.logits)
    before = reliability(table.labels, 3 * table.logits)
    figure = draw_calibration(found, before, 3.0)
    diagram, counts = figure.axes
    calibrated = next(
        line for name, line in lines_of(diagram).items() if name.startswith("Temperature 3")
    )
    often, rare = found.counts >= 10, (found.counts > 0) & (found.counts < 10)
    assert rare.any()
    np.testing.assert_array_equal(calibrated.get_ydata(), found.frequencies[often])
    crosses = lines_of(diagram)["Fewer than 10 predictions"]
    np.testing.assert_array_equal(crosses.get_ydata(), found.frequencies[rare])
    bars = next(patch for patch in counts.patches if isinstance(patch, StepPatch))
    np.testing.assert_array_equal(bars.get_data().values, found.counts)
    assert legend_of(figure) == [
        f"As the model puts out: ECE {before.error:.4f}",
        f"Temperature 3: ECE {found.error:.4f}",
        "Fewer than 10 predictions",
    ]


def test_histograms_hold_the_cases_of_each_kind(evaluation):
    figure = draw_probabilities(evaluation.table, evaluation.result)
    columns = example_classes(evaluation.result)
    assert len(figure.axes) == len(columns)
    for axes, column in zip(figure.axes, columns, strict=True):
        kinds = case_kinds(evaluation.table, column)
        assert [label.get_text() for label in axes.get_yticklabels()] == [
            f"positive, n = {kinds.positive.sum()}",
            f"intra-negative, n = {kinds.intra_negative.sum()}",
            f"inter-negative, n = {kinds.inter_negative.sum()}",
        ]
        drawn = next(patch for patch in axes.patches if patch.get_label() == "positive")
        values, edges, base = drawn.get_data()
        expected = np.histogram(evaluation.table.logits[kinds.positive, column], edges)[0]
        np.testing.assert_allclose((values - base) / 0.8, expected / expected.max(), atol=1e-12)
        dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
        assert [line.get_xdata()[0] for line in dashed] == pytest.approx([np.log(0.2 / 0.8)])


def test_example_classes_are_the_best_the_middle_and_the_worst():
    table = make_predictions(300, 20, separation=1.0)
    result = make_evaluation(table, resamples=0).result
    auc = result.per_class["auc"]
    frequent = np.flatnonzero(result.positives >= 5)
    ranked = frequent[np.argsort(-auc[frequent])]
    chosen = example_classes(result)
    assert chosen[:3] == ranked[:3].tolist()
    assert chosen[-1] == ranked[-1]
    assert len(set(chosen)) == 6
    assert auc[chosen[2]] > auc[chosen[3]] > auc[chosen[4]] > auc[chosen[5]]


def test_normal_against_abnormal_has_a_row_per_region_with_its_numbers(evaluation):
    subgroups = evaluation.breakdown.normal_abnormal
    figure = draw_normal_abnormal(subgroups)
    axes = figure.axes[0]
    points = lines_of(axes)
    for name, metric in (("AUC", "auc"), ("AP", "ap"), ("Recall@0.05", "recall_at_fpr_0.05")):
        values = [one.result.per_class[metric][0] for one in subgroups]
        np.testing.assert_array_equal(points[name].get_xdata(), values)
    ends = subgroups[0].result.intervals.per_class["auc"]
    first = axes.collections[0].get_segments()[0]
    assert first[:, 0].tolist() == [ends.low[0], ends.high[0]]
    words = [text.get_text() for text in axes.texts]
    normal = subgroups[0].result.positives[0]
    total = subgroups[0].result.num_cases
    assert {"All regions", f"{normal} normal, {total - normal} abnormal"} <= set(words)


def test_a_breakdown_stands_below_all_cases(evaluation):
    subgroups = evaluation.breakdown.by_modality
    axes = draw_breakdown(evaluation.result, subgroups).axes[0]
    means = [
        one.groups["all"].values["auc"]
        for one in (evaluation.result, *(one.result for one in subgroups))
    ]
    np.testing.assert_array_equal(lines_of(axes)["AUC"].get_xdata(), means)
    words = [text.get_text() for text in axes.texts]
    assert words[:2] == ["All cases", "120 cases, 6 labels"]
    assert subgroups[0].name in words


def test_a_subgroup_without_an_evaluable_class_says_so():
    table = make_predictions(40, 1, anatomies=("Chest", *("Spine",) * 39))
    evaluation = make_evaluation(table, resamples=0)
    axes = draw_breakdown(evaluation.result, evaluation.breakdown.by_anatomy).axes[0]
    assert "cannot be evaluated" in [text.get_text() for text in axes.texts]


def test_figures_follow_the_palette(evaluation):
    for palette in (LIGHT, DARK):
        line = lines_of(draw_roc(evaluation.result, palette=palette).axes[0])["head"]
        assert to_rgba(line.get_color()) == to_rgba(palette.groups["head"])


def test_the_same_evaluation_gives_the_same_files(tmp_path, evaluation):
    figures = {figure.name: figure for figure in evaluation_figures(evaluation)}
    assert tuple(figures) == FIGURE_NAMES
    roc = {"roc": figures["roc"]}
    once = [path.read_bytes() for path in save_figures(roc, tmp_path)]
    again = [path.read_bytes() for path in save_figures(roc, tmp_path)]
    assert once == again
    assert figures["roc"].render("svg") == figures["roc"].render("svg")
    assert {path.name for path in tmp_path.iterdir()} == {"roc.png", "roc.pdf"}


def test_files_of_figures_that_an_evaluation_has_not_are_removed(tmp_path, evaluation):
    (tmp_path / "normal_abnormal.png").write_bytes(b"of an earlier evaluation")
    (tmp_path / "mine.png").write_bytes(b"of somebody else")
    save_figures({}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


def without_positives(table):
    return replace(table, labels=np.zeros_like(table.labels))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (make_predictions(40, 1), set(FIGURE_NAMES) - {"normal_abnormal"}),
        (
            make_predictions(40, 3, label_names=("a", "b", "c")),
            set(FIGURE_NAMES) - {"normal_abnormal"},
        ),
        (make_predictions(40, 3, anatomies=(None,) * 40), set(FIGURE_NAMES)),
        (without_positives(make_predictions(40, 3)), {"calibration"}),
        (make_predictions(1, 2), {"calibration"}),
    ],
    ids=["one label", "no normal", "no region", "no positives", "one case"],
)
def test_degenerate_evaluations_draw_what_there_is(table, expected):
    evaluation = make_evaluation(table, resamples=5, has_thresholds=False, has_groups=False)
    figures = evaluation_figures(evaluation)
    assert {figure.name for figure in figures} == expected
    for figure in figures:
        assert figure.render("svg").startswith(b"<?xml")


def test_labels_with_dollar_signs_are_drawn_as_text(tmp_path):
    names = ("$x_{$", "cost $5", "a", "b", "c", "$\\no$")
    evaluation = make_evaluation(make_predictions(label_names=names), resamples=0)
    figures = evaluation_figures(evaluation)
    chosen = {one.name: one for one in figures if one.name == "probabilities"}
    assert len(save_figures(chosen, tmp_path)) == 2
