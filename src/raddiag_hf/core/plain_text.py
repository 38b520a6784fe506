"""Foreign text made harmless, for a terminal, a program, a table: names may hold any sign."""

import json
import logging
import re
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed: ESC, CR, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of text
    "\u2028\u2029\ud800-\udfff]"  # line ends that are not seen as such; bytes that are no text
)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def printable(text: str) -> str:
    r"""Return text whose control characters and direction marks are one sign that shows.

    Example:
        >>> printable("Cyst\x1b[2J \u202etsyC")
        'Cyst\ufffd[2J \ufffdtsyC'
    """
    return _UNSEEN.sub("\ufffd", text)


def printable_json(content: Any) -> str:
    """Return JSON on one line that is safe on a terminal and says the same to a program."""
    return escaped_json(json.dumps(content, ensure_ascii=False, allow_nan=False))


def escaped_json(text: str) -> str:
    """Return JSON with escapes in place of what a terminal would act on."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_spreadsheet(text: str) -> str:
    """Return a cell that spreadsheets take for text, not for a formula; see `from_spreadsheet`."""
    text = printable(text)
    return f"'{text}" if _FORMULA.match(text) else text


def from_spreadsheet(text: str) -> str:
    """Return what `in_spreadsheet` was given, but for characters that nobody sees."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


class PlainFormatter(logging.Formatter):
    """Formats records so that what they quote is harmless on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, `printable`."""
        return printable(super().format(record))
