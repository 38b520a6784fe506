"""Guard: files are read in a process that may die, and one that kills it is set aside by name."""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from raddiag_hf.imaging.file_at_work import FileNote
from raddiag_hf.imaging.reading_channel import Channel, shared_file
from raddiag_hf.imaging.reading_process import Answer, ReadRequest
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason

_POLL_S = 0.5
_LEAST_WAIT_S, _WAIT_FACTOR = 60.0, 10.0
"""A file may take so many times its processor time by the clock: disks and networks are slow."""
_NAMELESS_WAIT_S = 1800.0
"""For what is done between files, such as sorting the slices of tens of thousands of headers."""
_MOST_KILLED = 2
"""A process that somebody killed may be no fault of its file; the second time it counts as one."""


def read_guarded(
    function: Callable[..., Iterator[Any]],
    path: Path,
    arguments: Sequence[Any],
    limits: ReadLimits,
    tell: Callable[[Any], object] = lambda event: None,
) -> list[Any]:
    """Return what a generator yields in another process, without the files that end it.

    Args:
        function: A generator function of this package, called with ``(path, *arguments,
            set_aside)``; the last, path -> error, says what not to open.
        path: What it reads.
        arguments: What else it is given.
        limits: Memory and time of the process, as `ReadLimits` has them.
        tell: Is told each value as it comes; again, where reading begins again.

    Raises:
        ScanReadError: ``CRASHED``, ``TOO_SLOW`` or ``TOO_LARGE`` about the path, if the process
            ends while no file is at work; whatever the function raises.
    """
    set_aside: dict[Path, ScanReadError] = {}
    times_ended: Counter[Path | None] = Counter()
    while True:
        request = ReadRequest(function, (path, *arguments, set_aside), os.getcwd(), limits)
        reader = _take_reader()
        try:
            return reader.ask(request, tell)
        except _ReaderEndedError as ended:
            times_ended[ended.path] += 1
            if ended.may_be_innocent and times_ended[ended.path] < _MOST_KILLED:
                continue
            error = ScanReadError(ended.path or path, ended.reason, ended.found)
            if ended.path is None or ended.path in set_aside:
                raise error from None
            set_aside[ended.path] = error
        finally:
            _give_back(reader)


class _ReaderEndedError(Exception):
    """The reading process is gone."""

    def __init__(self, path: Path | None, reason: ScanReadReason, found: str, code: int) -> None:
        super().__init__(found)
        self.path, self.reason, self.found = path, reason, found
        self.may_be_innocent = path is None or code == -signal.SIGKILL


class _Reader:
    """One reading process."""

    def __init__(self) -> None:
        here, there = multiprocessing.Pipe()
        shared = shared_file()
        self.is_fit = True
        self._note = FileNote(shared)
        self._channel = Channel(here, shared)
        program = (
            f"from raddiag_hf.imaging.reading_process import main; main({there.fileno()}, {shared})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=(there.fileno(), shared),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        there.close()
        os.close(shared)
        try:
            self._channel.send(bytes(multiprocessing.current_process().authkey))
            self._channel.receive()
        except (EOFError, OSError) as error:
            self.end()
            raise RuntimeError("the process that reads files does not start") from error

    def ask(self, request: ReadRequest, tell: Callable[[Any], object]) -> list[Any]:
        """Return what the process answers.

        Raises:
            _ReaderEndedError: If it ended instead.
        """
        self.is_fit = False  # until all of the answer is here
        events: list[Any] = []
        answer = Answer(is_last=False)
        try:
            self._channel.send(request)
            while not answer.is_last:
                self._wait()
                answer = self._channel.receive()
                for event in answer.events:
                    tell(event)
                events += answer.events
        except (EOFError, ConnectionResetError, BrokenPipeError):
            raise self._end_error() from None
        self.is_fit = not answer.is_worn
        if answer.error is not None:
            raise answer.error
        return events

    def _wait(self) -> None:
        """Wait for the next message; end a process that neither sends one nor gets any further."""
        step, since = -1, time.monotonic()
        while not self._channel.poll(_POLL_S):
            now_step, path, seconds = self._note.read()
            now = time.monotonic()
            if now_step != step:
                step, since = now_step, now
            wait = _NAMELESS_WAIT_S if path is None else max(_LEAST_WAIT_S, _WAIT_FACTOR * seconds)
            if now - since > wait:
                self.end()
                found = f"reading it did not end within {wait:.0f} s"
                raise _ReaderEndedError(path, ScanReadReason.TOO_SLOW, found, 0)

    def _end_error(self) -> _ReaderEndedError:
        """Say what the process was at when it ended, and how it ended."""
        code = self._process.wait()
        _, path, seconds = self._note.read()
        if code == -signal.SIGPROF:
            found = f"reading it took more than {seconds:.1f} s of processor time"
            return _ReaderEndedError(path, ScanReadReason.TOO_SLOW, found, code)
        if code == -signal.SIGKILL:
            found = "the process that read it was killed twice, often because memory ran out"
            return _ReaderEndedError(path, ScanReadReason.TOO_LARGE, found, code)
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        found = f"the process that read it died ({how})"
        return _ReaderEndedError(path, ScanReadReason.CRASHED, found, code)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self.forget()

    def forget(self) -> None:
        """Let go of the process without a word: it ends by itself when nobody holds it."""
        self._channel.close()
        self._note.close()

    def leave_to_parent(self) -> None:
        """Forget a process that is the parent's, not this one's."""
        self.forget()
        self._process.returncode = 0  # else it would warn that it is not waited for


_idle: list[_Reader] = []
_lock = threading.Lock()


def _take_reader() -> _Reader:
    """Return a process that waits for work; each thread gets one of its own."""
    with _lock:
        if _idle:
            return _idle.pop()
    return _Reader()


def _give_back(reader: _Reader) -> None:
    if reader.is_fit:
        with _lock:
            _idle.append(reader)
    else:
        reader.end()


def end_readers() -> None:
    """End the processes that wait for files; the next file starts a new one."""
    while _idle:
        _idle.pop().end()


def _leave_to_parent() -> None:
    global _lock
    _lock = threading.Lock()
    while _idle:
        _idle.pop().leave_to_parent()


atexit.register(end_readers)
os.register_at_fork(after_in_child=_leave_to_parent)
