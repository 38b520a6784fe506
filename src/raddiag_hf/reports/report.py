"""HTML report: sections in, one page without outside requests or scripts out."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from raddiag_hf.reports.sections import (
    DISCLAIMER,
    CaseSection,
    FactsSection,
    FigureSection,
    GallerySection,
    HeadlineSection,
    Section,
    TableSection,
    percent,
)


def render_report(title: str, sections: Sequence[Section], subtitle: str = "") -> str:
    """Return a report as one HTML document.

    It reads on a phone and on paper, follows the reader's dark or light setting, and carries its
    pictures inside itself.

    Args:
        title: Heading of the page.
        sections: Its sections in order; see `raddiag_hf.reports.sections`.
        subtitle: One line below the heading.
    """
    environment = Environment(
        loader=PackageLoader("raddiag_hf.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    now = datetime.now(UTC)
    style = files("raddiag_hf.reports").joinpath("templates/report.css")
    return environment.get_template("report.html").render(
        title=title,
        subtitle=subtitle,
        style=style.read_text(encoding="utf-8"),
        disclaimer=DISCLAIMER,
        date=f"{now.day} {now:%B %Y}",
        sections=[_prepare(section) for section in sections],
    )


def _prepare(section: Section) -> dict[str, object]:
    """Return what the template of one section reads."""
    if isinstance(section, CaseSection):
        return {"kind": "case", "case": section}
    if isinstance(section, FigureSection):
        return {
            "kind": "figure",
            "figure": section,
            "picture": _picture_uri("image/png", section.png),
        }
    if isinstance(section, TableSection):
        return {"kind": "table", "table": section}
    if isinstance(section, HeadlineSection):
        return {"kind": "headline", "headline": section}
    if isinstance(section, GallerySection):
        pictures = [
            (
                figure,
                _picture_uri("image/svg+xml", figure.light_svg),
                _picture_uri("image/svg+xml", figure.dark_svg),
            )
            for figure in section.figures
        ]
        return {"kind": "gallery", "title": section.title, "pictures": pictures}
    if isinstance(section, FactsSection):
        return {"kind": "facts", "facts": section.facts}
    return {"kind": "text", "text": section}


def _picture_uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
