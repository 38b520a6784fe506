import os
import signal

import pytest
import torch

from raddiag_hf.data.store.worker_processes import run_in_processes


def square(number, advance):
    advance(number)
    return number**2


def name_of_process(number, advance):
    return os.getpid()


def threads(number, advance):
    return torch.get_num_threads()


def refuse_three(number, advance):
    if number == 3:
        raise ValueError("three is not accepted")
    return number


def end_abruptly(number, advance):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("num_proc", [1, 2])
def test_every_job_is_done_once_and_all_progress_is_told(num_proc):
    told = []
    results = list(run_in_processes(square, range(10), num_proc, told.append))
    assert sorted(results) == [number**2 for number in range(10)]
    assert sum(told) == 45


def test_one_process_is_this_one_and_several_are_others():
    assert set(run_in_processes(name_of_process, range(3), 1, print)) == {os.getpid()}
    assert os.getpid() not in set(run_in_processes(name_of_process, range(3), 2, print))


def test_workers_use_one_thread():
    assert set(run_in_processes(threads, range(4), 2, lambda amount: None)) == {1}


@pytest.mark.parametrize("num_proc", [1, 2])
def test_errors_come_back_as_they_were(num_proc):
    with pytest.raises(ValueError, match="three is not accepted"):
        list(run_in_processes(refuse_three, range(10), num_proc, lambda amount: None))


def test_a_killed_worker_is_explained():
    with pytest.raises(RuntimeError, match="run the same again with fewer processes"):
        list(run_in_processes(end_abruptly, range(3), 2, lambda amount: None))


def test_no_process_at_all_is_refused():
    with pytest.raises(ValueError, match="num_proc is 0"):
        list(run_in_processes(square, range(3), 0, print))
