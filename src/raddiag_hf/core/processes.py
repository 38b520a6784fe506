"""The processes of one run, as ``accelerate launch`` or ``torchrun`` started them."""

import os

from accelerate import PartialState


def has_launcher() -> bool:
    """Tell whether a launcher started this process, be it alone."""
    return "WORLD_SIZE" in os.environ


def started_processes() -> int:
    """Return how many processes were started together; 1 without a launcher."""
    return int(os.environ["WORLD_SIZE"]) if has_launcher() else 1


def is_first_process() -> bool:
    """Tell whether this process is the one that writes what all of them share."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_processes() -> None:
    """Wait until all processes that were started together are here."""
    if started_processes() > 1:
        PartialState().wait_for_everyone()
