"""Run jobs in worker processes that report progress and never outlive their parent."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import pyarrow as pa
import torch

Job = TypeVar("Job")
Result = TypeVar("Result")
Advance = Callable[[int], object]

POLL_S = 0.5

_progress: Any = None


def run_in_processes(
    function: Callable[[Job, Advance], Result],
    jobs: Iterable[Job],
    num_proc: int,
    advance: Advance,
) -> Iterator[Result]:
    """Yield ``function(job, advance)`` for every job, in the order in which they end.

    Args:
        function: What to do; with several processes, a function or object that pickle can name.
        jobs: One at a time per process.
        num_proc: Processes; 1 works in this one. Each uses one thread.
        advance: Is told how much further the work has come, as ``function`` tells it.

    Raises:
        RuntimeError: If a process was killed, often for want of memory.
    """
    if num_proc < 1:
        raise ValueError(f"num_proc is {num_proc}, expected at least 1")
    if num_proc == 1:
        for job in jobs:
            yield function(job, advance)
        return
    progress = multiprocessing.Value("q", 0)
    reported = 0
    with ProcessPoolExecutor(num_proc, initializer=_start, initargs=(progress,)) as pool:
        pending = {pool.submit(_run, function, job) for job in jobs}
        try:
            while pending:
                done, pending = wait(pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
                advance(progress.value - reported)
                reported = progress.value
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process was killed, often because memory ran out; what was finished is "
                "kept: run the same again with fewer processes"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start(progress: Any) -> None:
    global _progress
    _progress = progress
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Workers that wait for work would not notice that their parent was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(function: Callable[[Job, Advance], Result], job: Job) -> Result:
    return function(job, _count)


def _count(amount: int) -> None:
    with _progress.get_lock():
        _progress.value += amount
