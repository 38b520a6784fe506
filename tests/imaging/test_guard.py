"""Guard: whatever a file does to the process that reads it, the others are read and it is named."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from raddiag_hf.imaging.file_at_work import at_work
from raddiag_hf.imaging.guard import end_readers, read_guarded
from raddiag_hf.imaging.read_settings import DEFAULT_READING
from raddiag_hf.imaging.reading import read_scan
from raddiag_hf.imaging.scan import ReadLimits, ScanReadError, ScanReadReason
from raddiag_hf.imaging.study import read_study
from tests.fixtures.dicom_files import numbered_slices, write_series

QUICK = ReadLimits(max_file_seconds=0.3, max_decoded_bytes=2**20)


def read_by_name(folder, set_aside):
    """A reader for which the name of a file is what it does to its process."""
    for path in sorted(folder.iterdir()):
        if path in set_aside:
            continue
        with at_work(path):
            if "segfault" in path.name:
                os.kill(os.getpid(), signal.SIGSEGV)
            if "exit" in path.name:
                os._exit(0)
            if "killed" in path.name:
                os.kill(os.getpid(), signal.SIGKILL)
            if "hang" in path.name:
                while True:
                    pass
            if "memory" in path.name:
                np.ones(2**26)
            if "fault" in path.name and "segfault" not in path.name:
                raise ZeroDivisionError("a fault of ours")
            if "print" in path.name:
                print("Doe^Jane", flush=True)
                os.write(2, b"Doe^Jane")
        yield path.name


def die_at_once(path, set_aside):
    os.kill(os.getpid(), signal.SIGSEGV)
    yield path


def state_of_process(path, set_aside):
    yield os.getpid()
    yield bytes(multiprocessing.current_process().authkey)
    yield os.getcwd()


def guarded(folder, function=read_by_name, limits=QUICK, tell=lambda event: None):
    return read_guarded(function, folder, (), limits, tell)


def folder_of(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_bytes(b"0")
    return tmp_path


def test_the_files_beside_those_that_end_their_process_are_read(tmp_path):
    folder = folder_of(tmp_path, "a", "b-segfault", "c-exit", "d", "e-hang", "f-killed", "g")
    assert guarded(folder) == ["a", "d", "g"]


def test_memory_ends_where_the_limit_is(tmp_path):
    with pytest.raises(MemoryError):
        guarded(folder_of(tmp_path, "memory"))
    assert guarded(tmp_path, limits=ReadLimits()) == ["memory"]


def test_what_a_decoder_prints_is_not_heard(tmp_path, capfd):
    assert guarded(folder_of(tmp_path, "print")) == ["print"]
    assert "Doe" not in "".join(capfd.readouterr())


def test_a_fault_of_ours_comes_back_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError, match="a fault of ours"):
        guarded(folder_of(tmp_path, "fault"))


def test_a_process_that_dies_without_a_file_is_told_of_the_path(tmp_path):
    with pytest.raises(ScanReadError, match=r"died \(SIGSEGV\)") as caught:
        guarded(tmp_path, die_at_once)
    assert (caught.value.path, caught.value.reason) == (tmp_path, ScanReadReason.CRASHED)


def test_a_process_reads_again_and_again_as_its_parent_would(tmp_path, monkeypatch):
    first = guarded(tmp_path, state_of_process)
    monkeypatch.chdir(tmp_path)
    pid, key, folder = guarded(tmp_path, state_of_process)
    assert pid == first[0] != os.getpid()
    assert key == multiprocessing.current_process().authkey  # digests of patients agree
    assert folder == str(tmp_path)


def test_an_interruption_ends_the_process_that_reads(tmp_path):
    def interrupt(event):
        raise KeyboardInterrupt

    pid, *_ = guarded(tmp_path, state_of_process)
    with pytest.raises(KeyboardInterrupt):
        guarded(tmp_path, state_of_process, tell=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_file_that_takes_too_long_is_told_by_name(tmp_path):
    with pytest.raises(ScanReadError, match="s of processor time") as caught:
        guarded(folder_of(tmp_path, "a", "hang"), read_and_tell)
    assert (caught.value.path, caught.value.reason) == (tmp_path / "hang", ScanReadReason.TOO_SLOW)


def read_and_tell(folder, set_aside):
    yield from read_by_name(folder, set_aside)
    for error in set_aside.values():
        raise error


def test_scans_are_the_same_as_in_this_process(tmp_path):
    write_series(tmp_path / "series", numbered_slices(5))
    np.save(tmp_path / "array.npy", np.random.default_rng(0).normal(size=(8, 9, 10)))
    (here,) = [one for one in read_here(tmp_path / "series") if not hasattr(one, "total")]
    there = read_scan(tmp_path / "series")
    assert np.array_equal(there.volume, here.volume)
    assert (there.provenance, there.patient_key) == (here.provenance, here.patient_key)
    there.volume[:] = 0  # it belongs to who asked for it
    assert read_scan(tmp_path / "array.npy").volume.any()


def read_here(path):
    return list(read_study(path, ReadLimits(), DEFAULT_READING, False, {}))


def test_threads_read_at_once(tmp_path):
    for number in range(4):
        np.save(tmp_path / f"{number}.npy", np.full((6, 6, 6), number, np.float32))
    found = {}

    def read(number):
        found[number] = read_scan(tmp_path / f"{number}.npy").volume.max()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: 0, 1: 1, 2: 2, 3: 3}


def test_a_forked_process_reads_for_itself(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((6, 6, 6), np.float32))
    (pid, *_) = guarded(tmp_path, state_of_process)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        other, *_ = pool.apply(guarded, (tmp_path, state_of_process))
    assert other != pid
    assert guarded(tmp_path, state_of_process)[0] == pid


def test_no_process_outlives_its_parent(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((6, 6, 6), np.float32))
    program = (
        "import os, pathlib, raddiag_hf.imaging.guard as guard\n"
        "from raddiag_hf.imaging.reading import read_scan\n"
        f"read_scan({str(tmp_path / 'a.npy')!r})\n"
        "print(guard._idle[0]._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    pid = int(run.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_no_core_file_holds_pixels(tmp_path):
    end_readers()
    guarded(tmp_path, state_of_process)
    pid, *_ = guarded(tmp_path, state_of_process)
    limits = Path(f"/proc/{pid}/limits")
    if limits.exists():
        (core,) = [line for line in limits.read_text().splitlines() if "core file" in line]
        assert core.split()[4] == "0"
