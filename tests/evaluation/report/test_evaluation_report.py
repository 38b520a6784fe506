"""The report of an evaluation: the answer first, honest, self-contained, readable anywhere."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from raddiag_hf.evaluation.report.evaluation_report import (
    class_tables,
    render_evaluation_report,
    write_evaluation_report,
)
from raddiag_hf.reports.sections import DISCLAIMER
from tests.fixtures.evaluations import make_evaluation
from tests.fixtures.prediction_tables import make_predictions


def words_of(html):
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def long_tail(num_labels, num_cases=300):
    """Many labels, the last of them without a positive case."""
    table = make_predictions(num_cases, num_labels, separation=1.5)
    table.labels[:, -1] = False
    return table


@pytest.fixture(scope="module")
def evaluation():
    return make_evaluation(long_tail(60), temperature=1.5, warnings=("Two patients are shared.",))


@pytest.fixture(scope="module")
def report(evaluation, tmp_path_factory):
    return write_evaluation_report(evaluation, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def words(report):
    return words_of(report.read_text("utf-8"))


def test_the_headline_has_the_means_with_their_intervals(evaluation, words):
    result = evaluation.result
    for name, metric in (("AUC", "auc"), ("Average precision", "ap"), ("F1", "f1"), ("MCC", "mcc")):
        value = result.groups["all"].values[metric]
        ends = result.intervals.macro["all"][metric]
        start = words.index(f"{name} {value:.3f} {float(ends.low):.3f}")
        assert start < words.index("Head, medium and tail")


def test_extent_thresholds_and_warnings_are_said_before_the_tables(words):
    top = words[: words.index("Head, medium and tail")]
    assert "Evaluation of tiny" in top
    assert "300 test cases of phantoms, 150 patients, 60 labels" in top
    assert "Thresholds of F1 and MCC: chosen on 50 validation cases." in top
    assert "95 % intervals from 20 bootstrap resamples of cases" in top
    assert "Two patients are shared." in top
    assert top.count(DISCLAIMER) == 1
    assert words.count(DISCLAIMER) == 1


def test_labels_that_cannot_be_evaluated_are_counted_and_named(evaluation, words):
    missing = evaluation.result.classes_without_positives
    assert "disorder 59" in missing
    labels = f"{len(missing)} label" + "s" * (len(missing) > 1)
    assert f"{labels} without a positive case could not be evaluated" in words
    assert f"No evaluated case has: {', '.join(missing[:30])}" in words


def test_best_and_worst_labels_are_those_by_auc(evaluation):
    best, worst = class_tables(evaluation.result)
    auc = {
        name: value
        for name, value, positives in zip(
            evaluation.result.class_names,
            evaluation.result.per_class["auc"],
            evaluation.result.positives,
            strict=True,
        )
        if positives >= 5
    }
    ranked = sorted(auc, key=lambda name: -auc[name])
    assert [row[0] for row in best.rows] == ranked[: len(best.rows)]
    assert [row[0] for row in worst.rows] == ranked[::-1][: len(worst.rows)]
    assert not {row[0] for row in best.rows} & {row[0] for row in worst.rows}


def test_few_labels_stand_in_one_table():
    (table,) = class_tables(make_evaluation().result)
    assert len(table.rows) == 6


def test_without_thresholds_there_is_no_f1():
    warning = "The model carries no thresholds, so F1, MCC and accuracy are left out."
    evaluation = make_evaluation(has_thresholds=False, has_groups=False, warnings=(warning,))
    found = words_of(render_evaluation_report(evaluation))
    assert "Thresholds of F1" not in found
    assert warning in found
    assert "All labels" in found


def test_without_anything_to_evaluate_the_report_says_so():
    table = make_predictions(30, 4)
    table = replace(table, labels=np.zeros_like(table.labels))
    found = words_of(render_evaluation_report(make_evaluation(table)))
    assert "Means over 0 labels of 4: 4 labels without a positive case" in found
    assert "AUC –" in found


def test_names_cannot_break_the_page():
    names = ("Normal", "<script>alert(1)</script>", "a & b", "c")
    evaluation = make_evaluation(make_predictions(60, 4, label_names=names), resamples=0)
    html = render_evaluation_report(evaluation)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_page_loads_nothing_and_describes_every_picture(report):
    html = report.read_text("utf-8")
    addresses = re.findall(r"(?:src|srcset|href)=\"([^\"]*)\"", html)
    assert len(addresses) == 2 * 8
    assert all(address.startswith("data:image/svg+xml;base64,") for address in addresses)
    assert not re.search(r"@import|url\(|<script|<link|<iframe|https?://", html)
    assert len(re.findall(r"<img [^>]*alt=\"[^\"]+\"", html)) == 8


def test_figures_lie_beside_the_report_for_papers(report):
    files = {path.name for path in (report.parent / "figures").iterdir()}
    assert {"roc.png", "roc.pdf", "calibration.png", "anatomy.pdf"} <= files
    assert (report.parent / "figures" / "roc.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-background-networking", "--no-first-run"]
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "light")])
def test_the_page_fits_every_width_and_asks_for_nothing(browser, report, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.set_content(report.read_text("utf-8"))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    light = re.findall(r"<img src=\"([^\"]*)\"", page.content())
    shown = page.evaluate("[...document.images].map(i => i.currentSrc)")
    assert (shown == light) == (scheme == "light")
    assert all(url.startswith("data:") for url in requests)
    page.close()


def test_thousands_of_labels_make_a_page_of_readable_length():
    evaluation = make_evaluation(make_predictions(150, 5569), resamples=0)
    html = render_evaluation_report(evaluation)
    assert len(html) < 100_000
    assert "labels of 5,569" in words_of(html)
    assert "more: see metrics.json" in html
