"""A folder belongs to one run: the second is told, another is refused, the same goes on."""

import contextlib
import json
import shutil
import subprocess
import sys

import pytest

from raddiag_hf.core import run_folder
from raddiag_hf.core.run_folder import RunFolder, RunFolderError, RunInProgressError
from tests.fixtures.cases import CaseMaker, write_store
from tests.fixtures.folders import contents

HOLDER = """
import sys
from pathlib import Path
from raddiag_hf.core.run_folder import RunFolder
with RunFolder(Path(sys.argv[1]), work=Path(sys.argv[2])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""
IDENTITY = {"seed": 0, "model": {"depth": 18, "labels": ["Normal"]}}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(run_folder, "PATIENCE_S", 0.1)


def test_another_process_holds_the_folder_until_it_ends(tmp_path):
    output, work = tmp_path / "cases", tmp_path / ".cases.incomplete"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output), str(work)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    folder = RunFolder(output, work=work)
    with pytest.raises(RunInProgressError, match="cases: another run is at work"), folder.lock():
        pass
    holder.kill()
    holder.communicate()
    with folder.lock():
        pass


def test_a_build_leaves_alone_what_another_run_is_making(tmp_path):
    staging = tmp_path / ".store.incomplete"
    with RunFolder(tmp_path / "store", work=staging).lock():
        (staging / ".shard.tmp").write_text("half written")
        with pytest.raises(RunInProgressError):
            write_store(tmp_path / "store")
        assert (staging / ".shard.tmp").exists()
    write_store(tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_build_that_another_run_has_finished_meanwhile_is_not_begun_again(tmp_path, monkeypatch):
    lock = RunFolder.lock

    def wait_while_another_builds(folder):
        monkeypatch.undo()
        write_store(folder.output)
        return lock(folder)

    monkeypatch.setattr(RunFolder, "lock", wait_while_another_builds)
    write_store(tmp_path / "store", build_case=CaseMaker(fatal=frozenset(range(46))))
    assert (tmp_path / "store" / "README.md").exists()
    assert "lock" not in contents(tmp_path / "store")


def test_the_same_run_resumes_and_another_is_refused_by_what_differs(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.claim(IDENTITY) as resumed:
        assert not resumed
    with folder.claim(IDENTITY) as resumed:
        assert resumed
    other = {"seed": 0, "model": {"depth": 34, "labels": ["Normal"]}}
    with (
        pytest.raises(RunFolderError, match=r"holds a run that differs in model\.depth;"),
        folder.claim(other),
    ):
        pass


@pytest.mark.parametrize("record", ["{", "[]", '{"format": 1}', '{"format": 1, "run": 3}'])
def test_a_damaged_record_is_refused(tmp_path, record):
    folder = RunFolder(tmp_path)
    folder.record_path.write_text(record)
    with pytest.raises(RunFolderError, match=r"run\.json: is damaged"), folder.claim(IDENTITY):
        pass
    assert folder.record_path.read_text() == record


def test_a_record_of_a_newer_version_is_refused(tmp_path):
    folder = RunFolder(tmp_path)
    folder.record_path.write_text(json.dumps({"format": 7, "run": IDENTITY}))
    with (
        pytest.raises(RunFolderError, match=r"run\.json: format is 7, .* install a newer one"),
        folder.claim(IDENTITY),
    ):
        pass


@pytest.mark.parametrize("is_file", [True, False])
def test_what_no_run_made_is_refused_and_left_as_it_was(tmp_path, is_file):
    output = tmp_path / "out"
    foreign = output if is_file else output / "thesis.tex"
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("years of work")
    with pytest.raises(RunFolderError, match="out: is"), RunFolder(output).claim(IDENTITY):
        pass
    assert foreign.read_text() == "years of work"
    assert set(tmp_path.rglob("*")) == {output, foreign}


def test_of_several_processes_only_the_first_claims(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with RunFolder(tmp_path / "run").claim(IDENTITY):
        assert not (tmp_path / "run").exists()


def test_results_are_moved_when_all_are_there_the_last_one_last(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.claim(IDENTITY):
        with contextlib.suppress(OSError), folder.results(last="model") as results:
            (results / "card.md").write_text("half")
            raise OSError("the disk is full")
        assert contents(tmp_path / "run").keys() == {"lock", "run.json"}
        with folder.results(last="model") as results:
            (results / "model").mkdir()
            (results / "model" / "weights").write_text("w")
            (results / "zzz.md").write_text("card")
    assert contents(tmp_path / "run").keys() == {"lock", "run.json", "model/weights", "zzz.md"}


def test_a_lock_whose_folder_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """As by a run that ended and cleared its work away while another waited."""
    monkeypatch.setattr(run_folder, "PATIENCE_S", 5.0)
    work = tmp_path / "work"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path, work],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    shutil.rmtree(work)
    with RunFolder(tmp_path, work=work).lock():
        assert (work / run_folder.LOCK_FILE).exists()
        holder.communicate()
        with pytest.raises(RunInProgressError), short_lock(tmp_path, work, monkeypatch):
            pass


def short_lock(output, work, monkeypatch):
    monkeypatch.setattr(run_folder, "PATIENCE_S", 0.1)
    return RunFolder(output, work=work).lock()
