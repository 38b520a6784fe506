"""What a process knows of those that were started with it."""

import pytest

from raddiag_hf.core.processes import has_launcher, is_first_process, started_processes


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (False, 1, True)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (True, 1, True)),
        ({"WORLD_SIZE": "4", "RANK": "2"}, (True, 4, False)),
    ],
)
def test_the_environment_of_a_launcher_is_read(monkeypatch, environment, expected):
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (has_launcher(), started_processes(), is_first_process()) == expected
