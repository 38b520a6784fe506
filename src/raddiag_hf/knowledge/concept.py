"""A medical concept as every knowledge source gives it."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from raddiag_hf.input_error import InputError

ReportProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


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

    Example:
        >>> fold("Ménière’s  Disease") == fold("meniere's disease")
        True
    """
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(
        character if character.isalnum() else " "
        for character in decomposed
        if not unicodedata.combining(character)
    )
    return " ".join(kept.split()) or " ".join(decomposed.split())
