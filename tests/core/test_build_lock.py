"""Two runs into one folder: the second is told, and disturbs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from raddiag_hf.core import build_lock
from raddiag_hf.core.build_lock import BuildRunningError, sole_build
from tests.fixtures.cases import CaseMaker, write_store
from tests.fixtures.folders import contents

HOLDER = """
import sys
from pathlib import Path
from raddiag_hf.core.build_lock import sole_build
with sole_build(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(build_lock, "PATIENCE_S", 0.1)


def test_another_process_holds_the_folder_until_it_ends(tmp_path):
    output, staging = tmp_path / "cases", tmp_path / ".cases.incomplete"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(output), str(staging)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(BuildRunningError, match="cases: another run is making it"),
        sole_build(output, staging),
    ):
        pass
    holder.kill()
    holder.communicate()
    with sole_build(output, staging):
        pass


def test_a_build_leaves_alone_what_another_run_is_making(tmp_path):
    staging = tmp_path / ".store.incomplete"
    with sole_build(tmp_path / "store", staging):
        (staging / ".shard.tmp").write_text("half written")
        with pytest.raises(BuildRunningError):
            write_store(tmp_path / "store")
        assert (staging / ".shard.tmp").exists()
    write_store(tmp_path / "store")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_build_that_another_run_has_finished_meanwhile_is_not_begun_again(tmp_path, monkeypatch):
    def wait_while_another_builds(output: Path, staging: Path):
        monkeypatch.undo()
        write_store(output)
        return sole_build(output, staging)

    monkeypatch.setattr("raddiag_hf.data.store.case_writer.sole_build", wait_while_another_builds)
    write_store(tmp_path / "store", build_case=CaseMaker(fatal=frozenset(range(46))))
    assert (tmp_path / "store" / "README.md").exists()
    assert "lock" not in contents(tmp_path / "store")
