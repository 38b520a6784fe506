"""Channel: what a reading process sends, its arrays through memory that both sides see.

The memory is used again and again: fresh pages would cost more than the copies.
"""

import mmap
import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

NOTE_BYTES = 8192
"""Of the shared memory, what the note about the file at work takes; arrays follow."""
_ARENA_BYTES = 32 * 2**20


def shared_file() -> int:
    """Return the descriptor of a new file that two processes share; it has no name."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("raddiag-reading")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, NOTE_BYTES + _ARENA_BYTES)
    return descriptor


class Channel:
    """One side of it.

    Args:
        connection: To the other side.
        shared: Descriptor of a `shared_file`, the same on both sides.
    """

    def __init__(self, connection: Connection, shared: int) -> None:
        self._connection = connection
        self._memory = mmap.mmap(shared, NOTE_BYTES + _ARENA_BYTES)
        self._arena = np.frombuffer(self._memory, np.uint8, offset=NOTE_BYTES)
        self._is_arena_unread = False

    def poll(self, seconds: float) -> bool:
        """Tell whether something comes, or the other side goes, within this time."""
        return self._connection.poll(seconds)

    def send(self, value: object) -> None:
        """Send a value; return when the other side has all but what fits into the arena.

        Raises:
            EOFError: If the other side is gone.
            OSError: Likewise.
        """
        buffers: list[pickle.PickleBuffer] = []
        pickled = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        views = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
        sizes = [view.nbytes for view in views]
        message = pickle.dumps((pickled, sizes))
        for number, pieces in enumerate(_chunks(sizes)):
            self._wait_for_arena()
            for index, part, place in pieces:
                self._arena[place] = views[index][part]
            self._is_arena_unread = bool(pieces)
            self._connection.send_bytes(message if number == 0 else b"")

    def receive(self) -> Any:
        """Return the next value; its arrays can be written to.

        Raises:
            EOFError: If the other side is gone.
            OSError: Likewise.
        """
        self._wait_for_arena()
        pickled, sizes = pickle.loads(self._connection.recv_bytes())
        buffers = [np.empty(size, np.uint8) for size in sizes]
        for number, pieces in enumerate(_chunks(sizes)):
            if number:
                self._connection.recv_bytes()
            for index, part, place in pieces:
                buffers[index][part] = self._arena[place]
            if pieces:
                self._connection.send_bytes(b"")  # the arena may be written to again
        return pickle.loads(pickled, buffers=buffers)

    def _wait_for_arena(self) -> None:
        """Wait until the other side has what was sent last."""
        if self._is_arena_unread:
            self._connection.recv_bytes()
            self._is_arena_unread = False

    def close(self) -> None:
        """Close this side."""
        self._connection.close()
        del self._arena
        self._memory.close()


def _chunks(sizes: Sequence[int]) -> Iterator[list[tuple[int, slice, slice]]]:
    """Yield what fits into the arena at once: which buffer, what part of it, and where it goes."""
    pieces: list[tuple[int, slice, slice]] = []
    used = 0
    for index, size in enumerate(sizes):
        start = 0
        while start < size:
            length = min(size - start, _ARENA_BYTES - used)
            pieces.append((index, slice(start, start + length), slice(used, used + length)))
            start, used = start + length, used + length
            if used == _ARENA_BYTES:
                yield pieces
                pieces, used = [], 0
    if pieces or sum(sizes) == 0:
        yield pieces
