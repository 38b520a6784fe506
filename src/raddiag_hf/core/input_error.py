"""The one kind of error that whoever gave the input can mend."""


class InputError(ValueError):
    """What was given cannot be used: the message names it, what was expected and what was found.

    The command line answers it with exit code 2 and that one line; any other `ValueError` is a
    fault of this package.
    """
