"""Temporary folders: gone when the block ends, and after a kill at the next start."""

import subprocess
import sys
import tempfile
import time

import pytest

from raddiag_hf.core import temporary_folders
from raddiag_hf.core.temporary_folders import remove_left_behind, temporary_folder

KILLED = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from raddiag_hf.core.temporary_folders import temporary_folder
with temporary_folder() as folder:
    (folder / "Quixote^Alonso.dcm").symlink_to("/archive/Quixote")
    print("made", flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary_folders, "SETTLING_S", 0.0)
    return tmp_path


def start(place, fate):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, place, fate], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"made\n"
    return process


def test_it_is_empty_private_and_gone_afterwards(place):
    with temporary_folder() as folder:
        assert list(folder.iterdir()) == []
        assert folder.parent.stat().st_mode & 0o077 == 0
    assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_stays(place):
    start(place, "killed").wait()
    living = start(place, "alive")
    assert len(list(place.rglob("Quixote*"))) == 2
    assert remove_left_behind() == 1
    assert len(list(place.rglob("Quixote*"))) == 1
    living.communicate()
    assert list(place.iterdir()) == []


def test_young_folders_and_those_of_others_stay(place, monkeypatch):
    start(place, "killed").wait()
    (place / "raddiag-notes").mkdir()
    (place / "raddiag-notes" / "thesis.txt").touch()
    monkeypatch.setattr(temporary_folders, "SETTLING_S", 60.0)
    assert remove_left_behind() == 0
    monkeypatch.setattr(temporary_folders, "SETTLING_S", 0.0)
    time.sleep(0.01)
    assert remove_left_behind() == 1
    assert [path.name for path in place.rglob("*")] == ["raddiag-notes", "thesis.txt"]
