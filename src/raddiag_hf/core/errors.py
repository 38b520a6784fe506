"""The one kind of error that whoever gave the input can mend."""


class InputError(ValueError):
    """What was given cannot be used: the message names it, what was expected and what was found.

    The command line answers it with exit code 2 and that one line; any other `ValueError` is a
    fault of this package.
    """


def one_line(error: BaseException | str, longest: int | None = None) -> str:
    """Return an error's message on one line; the name of its type where it says nothing.

    Args:
        error: What was raised, or its message.
        longest: Characters to keep; None for all.
    """
    return " ".join(str(error).split())[:longest] or type(error).__name__
