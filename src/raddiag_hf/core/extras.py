"""Packages that only an extra installs."""

import importlib.util

from raddiag_hf.core.errors import InputError


class ExtraMissingError(InputError):
    """A package is needed that was left out of this installation."""


def require_extra(package: str, *, extra: str, needed_by: str) -> None:
    """Refuse to go on without a package, and say how to install it; call it before its import.

    Args:
        package: Name of its import.
        extra: Which extra of raddiag-hf installs it.
        needed_by: What the user asked for, as the message begins.

    Raises:
        ExtraMissingError: If it is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise ExtraMissingError(
            f"{needed_by} needs {package.replace('_', '-')}: pip install 'raddiag-hf[{extra}]'"
        )
