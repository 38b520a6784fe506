"""A medical concept as every knowledge source gives it."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from raddiag_hf.core.errors import InputError

ReportProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


_MINUS = "\N{MINUS SIGN}"
_MEANINGFUL = f"+<>{_MINUS}"
_SIGN_BEHIND_A_WORD = re.compile(r"(?<=\w)[-\u2010-\u2013](?!\w)")


class KnowledgeSourceError(InputError):
    """A knowledge source that cannot be read: which file, what was expected, what was found."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One disorder, finding or other concept, and what its source says about it.

    Attributes:
        term: Preferred name.
        synonyms: Other names.
        parents: Identifiers of broader concepts of the same source.
        descriptions: Sentences about it: definitions, radiographic features, what it includes.
        source: ``"ICD-10-CM"``, ``"UMLS"`` or ``"articles"``.
        id: Identifier, unique in its source, such as ``"J93.0"``.
    """

    term: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]
    descriptions: tuple[str, ...]
    source: str
    id: str


def fold(text: str) -> str:
    """Return a text without case, accents, punctuation and spacing, to tell spellings of one name.

    What changes the meaning stays: ``+``, ``<``, ``>``, a minus sign behind a word ("HER2-"), and
    the marks of scripts in which they are vowels.

    Example:
        >>> fold("Ménière’s  Disease") == fold("meniere's disease")
        True
        >>> fold("HER2+ carcinoma") == fold("HER2- carcinoma")
        False
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    signed = _SIGN_BEHIND_A_WORD.sub(_MINUS, decomposed)
    kept, drops_marks = [], False
    for character in signed:
        if unicodedata.category(character).startswith("M"):
            kept += [] if drops_marks else [character]
            continue
        drops_marks = unicodedata.name(character, "").startswith(("LATIN", "GREEK", "CYRILLIC"))
        is_kept = character.isalnum() or character in _MEANINGFUL
        kept.append(character if is_kept else " ")
    return " ".join("".join(kept).split()) or " ".join(decomposed.split())
