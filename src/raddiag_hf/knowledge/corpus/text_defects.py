"""What makes a text from a file useless as a name: nothing to see, or nothing to store."""


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
