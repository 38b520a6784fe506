"""Concept: a disorder, finding or other as every knowledge source gives it, and its texts."""

import re
import unicodedata
from dataclasses import dataclass

from raddiag_hf.core.errors import InputError

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


def is_blank(text: str) -> bool:
    r"""Whether nothing of a text can be seen: spaces, control and zero-width characters at most.

    Example:
        >>> is_blank(" \u200b"), is_blank("gout")
        (True, False)
    """
    return not any(character.isprintable() and character != " " for character in text)


def has_lone_surrogate(text: str) -> bool:
    r"""Whether a text holds half a surrogate pair: JSON can spell it, but UTF-8 cannot store it.

    Example:
        >>> has_lone_surrogate("gout\ud800"), has_lone_surrogate("gout")
        (True, False)
    """
    return any("\ud800" <= character <= "\udfff" for character in text)
