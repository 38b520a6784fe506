"""Reading process: reads for another one, which outlives whatever happens here.

Memory and time are limited by the kernel, and no core file with a patient's pixels is left behind.
"""

import multiprocessing
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from raddiag_hf.imaging.file_at_work import FileNote, tell_of_files
from raddiag_hf.imaging.reading_channel import Channel
from raddiag_hf.imaging.scan import ReadLimits, Scan

_WORN_BYTES = 256 * 2**20
"""A process that holds so much more than at its start is replaced."""
_PART_BYTES, _PART_S = 64 * 2**20, 0.1
"""Parts of an answer are at least so large, or so far apart: each costs a change of process."""


@dataclass(frozen=True)
class ReadRequest:
    """What to read.

    Attributes:
        function: A generator of this package; what it yields is sent.
        arguments: Of the function.
        folder: Which relative paths are relative to.
        limits: How large files may be, and how long and with how much memory they may be read.
    """

    function: Callable[..., Iterator[Any]]
    arguments: tuple[Any, ...]
    folder: str
    limits: ReadLimits


@dataclass(frozen=True)
class Answer:
    """A part of the answer to a request.

    Attributes:
        events: What the function yielded since the last part.
        is_last: Whether that is all.
        error: What the function raised.
        is_worn: Whether the process has grown so much that it should be replaced.
    """

    events: tuple[Any, ...] = ()
    is_last: bool = True
    error: Exception | None = None
    is_worn: bool = False


def main(connection: int, shared: int) -> None:
    """Serve requests until the other side is gone.

    Args:
        connection: Descriptor of the connection to it.
        shared: Descriptor of the file that both share.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side decides what an interruption ends
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _be_first_to_go()
    channel = Channel(Connection(connection), shared)
    note = FileNote(shared)
    multiprocessing.current_process().authkey = channel.receive()
    channel.send(Answer())
    _silence()
    first_bytes = _private_bytes()
    try:
        while True:
            request = channel.receive()
            os.chdir(request.folder)
            _limit_memory(request.limits.max_memory_bytes)
            tell_of_files(note, request.limits.max_file_seconds)
            last = _send_all_but_last(channel, request)
            is_worn = _private_bytes() - first_bytes > _WORN_BYTES
            channel.send(replace(last, is_worn=is_worn))
            del last  # its scans need not wait here for the next request
    except (EOFError, OSError):
        return


def _send_all_but_last(channel: Channel, request: ReadRequest) -> Answer:
    """Send the answer in parts, so that many scans do not wait here; return the last part."""
    events: list[Any] = []
    num_bytes, since = 0, time.monotonic()
    error: Exception | None = None
    answers = request.function(*request.arguments)
    while True:
        try:
            event = next(answers)
        except StopIteration:
            break
        except Exception as raised:
            error = _that_travels(raised)
            break
        events.append(event)
        num_bytes += event.volume.nbytes if isinstance(event, Scan) else 0
        if num_bytes > _PART_BYTES or time.monotonic() - since > _PART_S:
            channel.send(Answer(tuple(events), is_last=False))
            events.clear()
            num_bytes, since = 0, time.monotonic()
    return Answer(tuple(events), error=error)


def _that_travels(error: Exception) -> Exception:
    """Return the error, or its words where it cannot be sent."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _be_first_to_go() -> None:
    """Have the kernel end this process before others where the machine runs out of memory."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return


def _silence() -> None:
    """Decoders print what they find, and what they find may name a patient."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is not None:
            os.dup2(nothing, stream.fileno())
    os.close(nothing)


def _private_bytes() -> int:
    """Return the memory of this process that counts against the limit; 0 where nothing tells."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    line = next(line for line in status.splitlines() if line.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def _limit_memory(num_bytes: int) -> None:
    """Let this process take so much more than it has. Only Linux holds to that."""
    present = _private_bytes()
    if present:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (present + num_bytes, hard))
