"""The processes that evaluate together, as `accelerate launch` or `torchrun` started them."""

from datetime import timedelta

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from raddiag_hf.checkpoints.loading import choose_device

LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for the slowest; the launcher ends them all when one fails."""


def join_processes(device: str | None = None) -> PartialState:
    """Return this process's place among those that were started together; alone, the only one.

    Args:
        device: ``"cpu"`` for processes without accelerators; by default each takes one, where there
            are some and ``ACCELERATE_USE_CPU`` does not say otherwise.

    Raises:
        DeviceError: If there is no such device.
    """
    is_cpu = choose_device(device).type == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    return PartialState(cpu=is_cpu, timeout=LONGEST_WAIT)
