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
