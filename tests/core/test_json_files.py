"""JSON of foreign folders: what cannot be read is refused in one line."""

import pytest

from raddiag_hf.core import json_files
from raddiag_hf.core.json_files import JsonFileError, read_json


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        (b"\xff", "is not JSON"),
        ("[" * 100_000 + "]" * 100_000, "is nested deeper than 100 levels"),
        ("[" * 200 + "]" * 200, "is nested deeper than 100 levels"),
        ('{"a":' * 101 + "1" + "}" * 101, "is nested deeper than 100 levels"),
        ("1" * 5000, "is not JSON"),  # an integer of more digits than Python reads
    ],
    ids=["cut", "no text", "very deep", "deep", "deep objects", "long number"],
)
def test_what_is_no_json_of_ours_is_refused(tmp_path, content, message):
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(JsonFileError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "MOST_BYTES", 10)
    path = tmp_path / "config.json"
    path.write_text('{"a": "0123456789"}')
    with pytest.raises(JsonFileError, match="has 19 bytes, expected at most 10"):
        read_json(path)


def test_other_json_is_read(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"a": [1, {"b": null}]}')
    assert read_json(path) == {"a": [1, {"b": None}]}
