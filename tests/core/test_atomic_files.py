import os

import pytest

from raddiag_hf.core.atomic_files import atomic_write


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "labels.json"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_what_was_there_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text("before")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as temporary:
        temporary.write_text("half of it \ud800", "utf-8")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_placed_beforehand_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    for guessed in range(os.getpid() - 2, os.getpid() + 3):
        (tmp_path / f".labels.json.{guessed}.tmp").symlink_to(victim)
    with atomic_write(tmp_path / "labels.json") as temporary:
        assert not temporary.is_symlink()
        temporary.write_text("{}")
    assert victim.read_text() == "untouched"
    assert (tmp_path / "labels.json").read_text() == "{}"


def test_a_file_is_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "labels.json") as temporary:
        temporary.write_text("{}")
    assert (tmp_path / "labels.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_long_name_is_no_hindrance(tmp_path):
    path = tmp_path / f"{'x' * 240}.json"
    with atomic_write(path) as temporary:
        temporary.write_text("{}")
    assert path.read_text() == "{}"
