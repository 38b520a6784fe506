"""Equal content has equal names, and other content another."""

import pytest

from raddiag_hf.core.fingerprint import file_fingerprint, file_state, fingerprint, folder_state


def test_keys_in_any_order_and_tuples_are_the_same_content():
    assert fingerprint({"a": (1, 2), "b": None}) == fingerprint({"b": None, "a": [1, 2]})


def test_where_one_value_ends_and_the_next_begins_counts():
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")


def test_what_json_cannot_hold_has_no_fingerprint():
    with pytest.raises(TypeError):
        fingerprint({"a", "b"})


def test_a_file_is_known_by_its_content_and_a_folder_by_the_state_of_its_files(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("same")
    second.write_text("same")
    assert file_fingerprint(first) == file_fingerprint(second)
    before = folder_state(tmp_path)
    second.write_text("other")
    assert file_fingerprint(first) != file_fingerprint(second)
    assert folder_state(tmp_path) != before
    assert file_state(tmp_path / "absent") == (-1, -1)
