# The public names and where they live; `__init__.py` imports them from there at first use.

from .report import render_report as render_report
from .sections import (
    CaseSection as CaseSection,
    FigureSection as FigureSection,
    GallerySection as GallerySection,
    HeadlineSection as HeadlineSection,
    Section as Section,
    TableSection as TableSection,
    TextSection as TextSection,
)
