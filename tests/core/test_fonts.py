"""Labels of other scripts: drawn by a font that is installed, or told and left to the browser."""

import io
from pathlib import Path

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from raddiag_hf.core import fonts
from raddiag_hf.core.fonts import font_families, undrawable, undrawable_in
from raddiag_hf.evaluation.figures.evaluation_figure import EvaluationFigure
from raddiag_hf.evaluation.figures.palette import Palette

LABEL = "胸腔积液"


@pytest.fixture
def chinese_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A font of four characters under the name of a large one."""
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", *(f"u{ord(one):x}" for one in LABEL)]
    glyphs = {}
    for number, name in enumerate(names):
        pen = TTGlyphPen(None)
        pen.moveTo((100, 0))
        for point in ((100 + 150 * number, 700), (300, 100 * number)):
            pen.lineTo(point)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(one): name for one, name in zip(LABEL, names[1:], strict=True)})
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Noto Sans CJK SC", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "font.ttf")
    monkeypatch.setattr(fontManager, "ttflist", list(fontManager.ttflist))
    fontManager.addfont(tmp_path / "font.ttf")


@pytest.fixture(autouse=True)
def told_anew() -> None:
    fonts._tell.cache_clear()


def drawn(label: str) -> bytes:
    with rc_context({"font.family": font_families()}):
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, label)
        page = io.BytesIO()
        figure.savefig(page, format="png")
    return page.getvalue()


def test_labels_are_drawn_with_the_font_that_has_them(
    chinese_font: None, recwarn: pytest.WarningsRecorder
) -> None:
    assert undrawable([LABEL, "Pleural effusion", "Плевра"]) == set()
    assert drawn(LABEL) != drawn(LABEL[::-1])
    assert not [one for one in recwarn if "missing from" in str(one.message)]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_where_no_font_has_them_it_is_said_and_a_page_holds_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "_OTHERS", ())

    def draw(palette: Palette) -> Figure:
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.5, f"{LABEL} I")
        return figure

    assert undrawable_in(draw(None)) == set(LABEL)  # type: ignore[arg-type]
    page = EvaluationFigure("roc", "", draw, "", "").render("svg").decode()
    assert LABEL in page
    assert caplog.text.count("no installed font draws") == 1
