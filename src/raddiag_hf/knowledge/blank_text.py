"""Texts that show nothing, which files do hold."""


def is_blank(text: str) -> bool:
    r"""Whether nothing of a text can be seen: spaces, control and zero-width characters at most.

    Example:
        >>> is_blank(" \u200b"), is_blank("gout")
        (True, False)
    """
    return not any(character.isprintable() and character != " " for character in text)
