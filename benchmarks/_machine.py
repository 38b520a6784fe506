"""Where and with what a benchmark was run, for its result file."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any


def describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """Return the date, the hardware and the versions of Python and of ``packages``."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "versions": {"python": platform.python_version()}
        | {package: version(package) for package in packages},
    }


def machine_slug() -> str:
    """Return a short name of the hardware for file names, such as ``amd-epyc-2-cores``."""
    words = "".join(c if c.isalnum() else " " for c in _cpu_name().lower()).split()
    return "-".join([*words, str(os.cpu_count()), "cores"])


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
