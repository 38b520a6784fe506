"""The console of the verbs: bars, and the check of a file that is to be written."""

import logging
from pathlib import Path

import pytest

from raddiag_hf.cli.console import (
    ArgumentError,
    check_output_file,
    check_output_folder,
    quiet_libraries,
    step_progress,
)
from raddiag_hf.core.errors import InputError


def test_a_file_that_can_be_written_passes_and_the_check_leaves_nothing(tmp_path, monkeypatch):
    check_output_file(tmp_path / "new.parquet")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.chdir(tmp_path)
    check_output_file(Path("new.parquet"))


@pytest.mark.parametrize("name", [".", "folder", "folder/.."])
def test_a_folder_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArgumentError, match=r"is a folder, expected the name of a file"):
        check_output_file(Path(name))


def test_a_folder_that_is_absent_or_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"there is no folder .*absent"):
        check_output_file(tmp_path / "absent" / "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match=r"there is no folder .*file"):
        check_output_file(tmp_path / "file" / "x")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system like /proc")
def test_a_folder_that_takes_no_files_is_named():
    with pytest.raises(ArgumentError, match=r"--output /proc/x: /proc cannot be written"):
        check_output_file(Path("/proc/x"))


def test_a_device_is_not_replaced():
    with pytest.raises(ArgumentError, match="/dev/null: is not a regular file"):
        check_output_file(Path("/dev/null"))


def test_a_path_with_brackets_is_no_markup(capsys):
    with step_progress() as report:
        report("Loading runs[/red]/model", 1, 2)
    assert "runs[/red]/model" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system like /proc")
def test_an_output_folder_in_a_place_that_takes_no_files_is_refused_early():
    with pytest.raises(ArgumentError, match=r"--output /proc/x/y: /proc cannot be written"):
        check_output_folder(Path("/proc/x/y"))


def refuse_while_loading(transient=False):
    def load(progress):
        progress("Loading", 0, 0)
        raise InputError("is no model")

    with pytest.raises(InputError), step_progress(transient=transient) as progress:
        load(progress)


@pytest.mark.parametrize("transient", [False, True])
def test_work_that_is_refused_leaves_no_bars(capsys, transient):
    refuse_while_loading(transient)
    assert capsys.readouterr().err == ""


def test_work_that_is_refused_removes_its_bars_from_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    refuse_while_loading()
    assert capsys.readouterr().err.endswith("\x1b[1A\x1b[2K")


def test_retries_of_the_hub_are_not_told():
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    try:
        hub.setLevel(logging.WARNING)
        quiet_libraries()
        assert not logging.getLogger("huggingface_hub.utils._http").isEnabledFor(logging.WARNING)
    finally:
        hub.setLevel(level)
