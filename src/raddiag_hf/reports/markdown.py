"""Plain text inside Markdown: label names may hold any sign."""

import re

from raddiag_hf.core.plain_text import printable

_SIGNS = str.maketrans(
    {sign: f"\\{sign}" for sign in "\\`*[]|~"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_EDGE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def in_markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line, in a table too.

    Example:
        >>> print(in_markdown("<b>left|right</b> _mass_"))
        &lt;b&gt;left\|right&lt;/b&gt; \_mass\_
    """
    return _EDGE.sub(r"\\_", printable(" ".join(text.split())).translate(_SIGNS))
