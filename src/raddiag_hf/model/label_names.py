"""Label names: what can name the labels of a label space, and the identity of their order."""

import hashlib
import json
import unicodedata
from collections.abc import Sequence


def check_label_names(names: object) -> None:
    """Refuse names that would not tell labels apart, or not fit on one line of a table.

    Raises:
        ValueError: Unless it is a list or tuple of at least one name, each one line of text without
            spaces around it, no two of which differ at most in case, Unicode form and spaces.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        found = repr(names) if isinstance(names, str) else f"of type {type(names).__name__}"
        raise ValueError(f"label names are {found}, expected a list of names")
    if not names:
        raise ValueError("a label set needs at least one label")
    seen: dict[str, str] = {}
    for column, name in enumerate(names):
        is_text = isinstance(name, str)
        if not is_text or not name or name != name.strip() or len(name.splitlines()) > 1:
            raise ValueError(
                f"label {column} is {name!r}, expected one line without spaces around it"
            )
        folded = label_key(name).casefold()
        if folded in seen:
            raise ValueError(f"labels {seen[folded]!r} and {name!r} are the same label twice")
        seen[folded] = name


def label_key(name: str) -> str:
    """Return what spellings of one label share: Unicode form and spaces make no difference.

    Example:
        >>> label_key(" Pleural   effusion")
        'Pleural effusion'
    """
    visible = (
        " " if one.isspace() else one
        for one in unicodedata.normalize("NFC", name)
        if one.isspace() or unicodedata.category(one) != "Cf"
    )
    return " ".join("".join(visible).split())


def label_fingerprint(names: Sequence[str]) -> str:
    """Return the SHA-256 of ordered label names, in hexadecimal."""
    canonical = json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
