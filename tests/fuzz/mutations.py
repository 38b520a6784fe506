"""Mutations: bytes changed as broken disks, broken writers and malice change them, by a seed."""

import random
import struct

_TELLING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
"""Numbers at which lengths and signs go over."""
_HEADER_BYTES = 600


def mutate(original: bytes, other: bytes, seed: int) -> bytes:
    """Return a damaged copy of a file; the same for the same seed.

    Args:
        original: What to damage.
        other: A file whose parts may get into it.
        seed: Decides all.
    """
    generator = random.Random(seed)
    damaged = bytearray(original)
    for _ in range(generator.choice([1, 1, 3, 30])):
        if damaged:
            generator.choice(_MUTATIONS)(damaged, other, generator)
    return bytes(damaged)


def _place(damaged: bytearray, generator: random.Random) -> int:
    """Return a place, often in the header, where damage does most."""
    limit = generator.choice([min(_HEADER_BYTES, len(damaged)), len(damaged)])
    return generator.randrange(limit)


def _change_byte(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    damaged[_place(damaged, generator)] = generator.choice([0, 255, generator.randrange(256)])


def _flip_bit(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    damaged[_place(damaged, generator)] ^= 1 << generator.randrange(8)


def _write_number(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    place, size = _place(damaged, generator), generator.choice([1, 2, 4])
    number = generator.choice(_TELLING) % 256**size
    order = generator.choice("<>")
    form = {1: "B", 2: "H", 4: "I"}[size]
    damaged[place : place + size] = struct.pack(order + form, number)


def _cut_off(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    del damaged[_place(damaged, generator) :]


def _cut_out(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    place = _place(damaged, generator)
    del damaged[place : place + generator.randrange(1, 65)]


def _repeat(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    place = _place(damaged, generator)
    part = damaged[place : place + generator.randrange(1, 257)]
    damaged[place:place] = part * generator.choice([1, 2, 50])


def _splice(damaged: bytearray, other: bytes, generator: random.Random) -> None:
    place = _place(damaged, generator)
    start = generator.randrange(len(other))
    part = other[start : start + generator.randrange(1, 513)]
    damaged[place : place + len(part)] = part


_MUTATIONS = (_change_byte, _flip_bit, _write_number, _cut_off, _cut_out, _repeat, _splice)
