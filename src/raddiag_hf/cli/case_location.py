"""The case data set that a command line names."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from raddiag_hf.cli.scan_arguments import ArgumentError

if TYPE_CHECKING:
    from raddiag_hf.data.store.case_store import CaseStore

LOCATION_HELP = "Folder of a case data set, or its address (hf://datasets/NAMESPACE/NAME)."


@contextmanager
def case_store(location: str) -> Iterator["CaseStore"]:
    """Open a case data set whose damage, wherever it shows in the block, is the input's fault.

    Raises:
        ArgumentError: If it is no case data set, or its files are damaged.
        HubAccessError: If the Hub refuses.
        OSError: If it is not there.
    """
    from raddiag_hf.core.hub_errors import HubAccessError
    from raddiag_hf.data.store.case_store import CaseStore

    try:
        yield CaseStore.open(location)
    except HubAccessError:
        raise
    except ValueError as error:  # Arrow's errors are among them
        text = str(error)
        raise ArgumentError(text if location in text else f"{location}: {text}") from error
