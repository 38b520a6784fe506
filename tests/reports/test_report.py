"""The report: self-contained, safe, honest about thresholds, readable in a browser."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from raddiag_hf.inference.case_files import write_case_files
from raddiag_hf.inference.views import case_section
from raddiag_hf.reports.report import render_report
from raddiag_hf.reports.sections import (
    DISCLAIMER,
    FigureSection,
    TableSection,
    TextSection,
    percent,
    signed,
)
from tests.fixtures.diagnoses import FINDINGS, make_diagnosis, make_explanation, make_scans

VOID = {"meta", "img"}


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (0.0, "0.0%"),
        (0.0004, "<0.1%"),
        (0.001, "0.1%"),
        (0.5, "50.0%"),
        (0.9999, ">99.9%"),
        (1.0, "100.0%"),
    ],
)
def test_percentages_have_one_decimal(fraction, text):
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("number", "text"), [(1.318, "+1.32"), (-0.61, "−0.61"), (0.004, "0.00"), (-0.004, "0.00")]
)
def test_a_sign_stands_only_before_what_is_not_zero(number, text):
    assert signed(number) == text


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in turn."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text = f"{self.text} {data.strip()}".strip()


def render(*, known_labels=(), **fields):
    section = case_section("A case", make_diagnosis(**fields), make_scans(), known_labels)
    return render_report("Report", [section])


def test_the_page_is_well_formed_and_loads_nothing():
    html = render()
    page = Page(html)
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "action", "data")
    ]
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)
    assert not re.search(r"@import|url\(|<script|<link|<iframe", html)


def test_every_picture_says_what_it_is_or_that_it_is_decoration():
    images = [attributes for tag, attributes in Page(render()).tags if tag == "img"]
    assert all("alt" in image for image in images)
    assert {"CT, slice 17 of 40", "X-ray"} <= {image["alt"] for image in images}


def test_the_disclaimer_stands_there_once():
    assert Page(render()).text.count(DISCLAIMER) == 1


def test_findings_stand_with_probability_and_threshold():
    text = Page(render()).text
    assert "Reaches its threshold Segond fracture 71.0%" in text
    assert "Meniscal tear 10.0% 28.0%" in text
    assert "1 of 5 labels reaches its threshold." in text


def test_without_thresholds_none_is_shown():
    findings = tuple(replace(f, threshold=None, predicted=None) for f in FINDINGS)
    page = Page(render(findings=findings, predicted_count=None))
    assert "Most probable Segond fracture 71.0%" in page.text
    assert "carries no thresholds" in page.text
    assert not any("threshold" in attributes.get("class", "") for _, attributes in page.tags)


def test_of_exclusive_labels_the_most_probable_is_the_headline():
    findings = tuple(
        replace(f, threshold=None, predicted=place == 0) for place, f in enumerate(FINDINGS)
    )
    text = Page(render(findings=findings, has_exclusive_labels=True)).text
    assert "Most probable Segond fracture 71.0%" in text
    assert "exactly one of the 5 labels: the most probable is predicted." in text


def test_where_no_label_reaches_its_threshold_the_headline_says_most_probable():
    findings = tuple(replace(f, predicted=False) for f in FINDINGS)
    text = Page(render(findings=findings, predicted_count=0)).text
    assert "Most probable Segond fracture" in text
    assert "None of 5 labels reaches its threshold." in text


def test_scans_stand_by_share_with_effect_and_slices():
    text = Page(render()).text
    assert "70.0% of the decision +1.32 logit, speaks for it" in text
    assert "30.0% of the decision −0.56 logit, speaks against it" in text
    assert "32 of 40 slices, most attention on 17" in text
    assert text.index("70.0% of the decision") < text.index("30.0% of the decision")


def test_the_attention_profile_has_one_bar_per_encoded_slice():
    bars = [attributes for tag, attributes in Page(render()).tags if tag == "rect"]
    assert len(bars) == 32
    assert max(float(bar["height"]) for bar in bars) == 100


def test_a_single_scan_has_no_shares():
    diagnosis = make_diagnosis()
    alone = replace(diagnosis, scans=(replace(diagnosis.scans[0], share=1.0, effect=None),))
    text = Page(render_report("Report", [case_section("", alone, make_scans()[:1])])).text
    assert "1 scan: CT" in text
    assert "of the decision" not in text
    assert "decided by" not in text


def test_names_cannot_break_out_of_the_page():
    hostile = '<script>alert("x")</script>'
    diagnosis = make_diagnosis(warnings=(hostile,), findings=(replace(FINDINGS[0], label=hostile),))
    diagnosis = replace(
        diagnosis, scans=tuple(replace(s, scan_id=hostile) for s in diagnosis.scans)
    )
    html = render_report(hostile, [case_section(hostile, diagnosis, make_scans(), (hostile,))])
    assert "<script" not in html
    assert hostile in Page(html).text


def test_warnings_stand_before_the_answer():
    text = Page(render(warnings=("2 files were left out.",))).text
    assert text.index("2 files were left out.") < text.index("Reaches its threshold")
    assert "Before trusting this" not in Page(render()).text


def test_provenance_can_be_read():
    text = Page(render()).text
    for part in ("owner/name", "0c3f9a1b2d4e", "validation split", "2026-11-21 18:24 UTC"):
        assert part in text


def test_sections_of_all_kinds_stand_in_order():
    html = render_report(
        "Report",
        [
            TextSection("About", ("First.", "Second.")),
            case_section("Case", make_diagnosis(), make_scans(), ("Segond fracture",)),
            FigureSection("Curve", b"png", "Loss by step", "It falls."),
            TableSection("Metrics", ("Metric", "Head"), (("AUC", "0.9"),), "Held out."),
        ],
    )
    text = Page(html).text
    parts = ["First. Second.", "Known to show: Segond fracture", "It falls.", "AUC 0.9"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert 'alt="Loss by step"' in html


def test_the_files_appear_whole(tmp_path):
    report = write_case_files(tmp_path / "new" / "out", make_diagnosis(), make_scans())
    assert report.read_text().startswith("<!DOCTYPE html>")
    record = json.loads((report.parent / "diagnosis.json").read_text())
    assert record["findings"][0]["label"] == "Segond fracture"
    assert sorted(path.name for path in report.parent.iterdir()) == [
        "diagnosis.json",
        "report.html",
    ]


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_every_width_and_asks_for_nothing(browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    findings = (replace(FINDINGS[0], label="Posterolateral corner injury " * 6), *FINDINGS)
    long_name = "SERIES_WITHOUT_ANY_BREAK_IN_ITS_NAME" * 4
    diagnosis = make_diagnosis(findings=findings)
    diagnosis = replace(
        diagnosis, scans=tuple(replace(s, scan_id=long_name) for s in diagnosis.scans)
    )
    section = case_section("", diagnosis, make_scans(), (), make_explanation())
    page.set_content(render_report("Report", [section]))
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 24)"
    assert dark == (scheme == "dark")
    assert all(url.startswith("data:") for url in requests)
    page.close()
