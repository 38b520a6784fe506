"""Fonts: which of those installed draw labels of any script, and which characters none draws."""

import logging
from collections.abc import Iterable
from functools import lru_cache

from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager, get_font
from matplotlib.text import Text

logger = logging.getLogger(__name__)

_LATIN = "DejaVu Sans"
"""Comes with matplotlib; has Greek and Cyrillic too."""
_OTHERS = (
    *(f"Noto Sans CJK {place}" for place in ("SC", "TC", "JP", "KR", "HK")),
    *(f"Noto Sans {place}" for place in ("SC", "TC", "JP", "KR")),
    *("Source Han Sans SC", "Source Han Sans", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *(
        "PingFang SC",
        "Hiragino Sans",
        "Hiragino Sans GB",
        "Apple SD Gothic Neo",
        "Arial Unicode MS",
    ),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "MS Gothic", "Malgun Gothic"),
    *("IPAexGothic", "IPAPGothic", "TakaoPGothic", "VL PGothic", "NanumGothic", "Baekmuk Gulim"),
    *("Droid Sans Fallback", "Unifont"),
    *(f"Noto Sans {script}" for script in ("Arabic", "Hebrew", "Devanagari", "Bengali", "Thai")),
)
"""Fonts of other scripts, as systems have them."""


def font_families() -> list[str]:
    """Return the installed families that labels are drawn with, one where the one before fails."""
    installed = {font.name for font in fontManager.ttflist}
    return [_LATIN, *(name for name in _OTHERS if name in installed)]


def undrawable(texts: Iterable[str]) -> set[str]:
    """Return the characters that no such font has: each would be the same empty box."""
    wanted = {one for text in texts for one in text if one.isprintable() and not one.isspace()}
    paths = {font.name: font.fname for font in fontManager.ttflist}
    for family in font_families():
        if not wanted:
            break
        if family in paths:
            wanted = {one for one in wanted if ord(one) not in _characters(paths[family])}
    return wanted


def undrawable_in(figure: Figure) -> set[str]:
    """Return the characters of a figure that no font has, and say once how to get one."""
    missing = undrawable(text.get_text() for text in figure.findobj(Text))
    if missing:
        _tell("".join(sorted(missing))[:20])
    return missing


@lru_cache(maxsize=8)
def _characters(path: str) -> frozenset[int]:
    return frozenset(get_font(path).get_charmap())


@lru_cache(maxsize=1)
def _tell(missing: str) -> None:
    logger.warning(
        "no installed font draws %s; pictures show boxes in place of them: install one, such as "
        "Noto Sans CJK",
        missing,
    )
