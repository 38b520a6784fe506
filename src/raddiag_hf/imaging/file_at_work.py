"""File at work: what a process that reads for another says of itself, so that its end has a name.

It stands in memory that both processes see: to write it costs no message, and it outlives the
writer.
"""

import mmap
import os
import signal
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raddiag_hf.imaging.reading_channel import NOTE_BYTES

_HEAD = struct.Struct("<qqd")
"""Steps begun and ended so far, bytes of the path (-1: no file is at work), seconds given to it."""

_FOLDER_SECONDS = 120.0
"""Processor time for putting the decoded slices of a series together."""


class FileNote:
    """The note of one reading process.

    Args:
        descriptor: Of the `shared_file` of both processes.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, NOTE_BYTES)
        self._step = 0

    def write(self, path: Path | None, seconds: float) -> None:
        """Say what is at work from now on; None: nothing that has a name."""
        self._step += 1
        name = b"" if path is None else os.fsencode(path)[: NOTE_BYTES - _HEAD.size]
        self._memory[_HEAD.size : _HEAD.size + len(name)] = name
        _HEAD.pack_into(self._memory, 0, self._step, -1 if path is None else len(name), seconds)

    def read(self) -> tuple[int, Path | None, float]:
        """Return the count of steps, what is at work, and the seconds that it was given."""
        step, length, seconds = _HEAD.unpack_from(self._memory)
        if length < 0:
            return step, None, seconds
        return step, Path(os.fsdecode(self._memory[_HEAD.size : _HEAD.size + length])), seconds

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()


class _Watch:
    """What this process tells of itself: nothing, unless it reads for another."""

    def __init__(self) -> None:
        self.note: FileNote | None = None
        self.seconds = 0.0
        self.at_work: list[Path] = []


_watch = _Watch()


def tell_of_files(note: FileNote, seconds: float) -> None:
    """Say from now on which file is at work, and end this process where one takes too long.

    Args:
        note: Where to say it.
        seconds: Processor time that any file may take; half as much comes on top for each MiB.
    """
    assert threading.current_thread() is threading.main_thread(), "it is the process's own note"
    _watch.note, _watch.seconds = note, seconds
    _watch.at_work.clear()
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    _tell()


@contextmanager
def at_work(path: Path) -> Iterator[None]:
    """Say that a file is at work inside the block, where this process reads for another."""
    if _watch.note is None:
        yield
        return
    _watch.at_work.append(path)
    _tell()
    try:
        yield
    finally:
        _watch.at_work.pop()
        _tell()


def _tell() -> None:
    """Write the note, and set the kernel's clock, which ends even what never returns to Python."""
    assert _watch.note is not None
    path = _watch.at_work[-1] if _watch.at_work else None
    seconds = 0.0 if path is None else _seconds_for(path)
    _watch.note.write(path, seconds)
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _seconds_for(path: Path) -> float:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return _watch.seconds
    if stat.S_ISDIR(status.st_mode):
        return _FOLDER_SECONDS
    return _watch.seconds * (1 + status.st_size / 2**21)
