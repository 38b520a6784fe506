"""Channel: what comes is what was sent, however large and however fast."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

from raddiag_hf.imaging.reading_channel import Channel, shared_file


@pytest.fixture
def channels():
    here, there = multiprocessing.Pipe()
    shared = shared_file()
    ends = Channel(here, shared), Channel(there, shared)
    os.close(shared)
    yield ends
    for end in ends:
        end.close()


def send_all(channel, values):
    thread = threading.Thread(target=lambda: [channel.send(value) for value in values])
    thread.start()
    return thread


@pytest.mark.parametrize("megabytes", [(), (0,), (1, 1, 1), (31, 2), (32,), (33,), (70, 0, 5)])
def test_arrays_of_any_size_come_as_they_were(channels, megabytes):
    one, other = channels
    sent = [np.full((size, 2**20), number, np.uint8) for number, size in enumerate(megabytes)]
    thread = send_all(one, [sent, "next"])
    received = other.receive()
    assert all((array == was).all() for array, was in zip(received, sent, strict=True))
    assert other.receive() == "next"
    thread.join()


def test_a_value_waits_until_the_one_before_it_was_taken(channels):
    one, other = channels
    thread = send_all(one, [np.full(9, number) for number in range(20)])
    assert [int(other.receive()[0]) for _ in range(20)] == list(range(20))
    thread.join()


def test_answers_go_both_ways_and_can_be_written_to(channels):
    one, other = channels
    one.send(np.zeros(3))
    received = other.receive()
    received += 1
    other.send("an answer")
    assert one.receive() == "an answer"
