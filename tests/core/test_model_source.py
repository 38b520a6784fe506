"""Models on the Hub: what is fetched, what stays cached, what each refusal says.

The places are opened in a process of their own, because the Hub's address counts only when it is
set before huggingface_hub is imported.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.fixtures.hub_standin import HubStandIn

OPEN_IN_TURN = """
import json, sys
sys.argv[0] = "raddiag"  # importing the package then needs no torch
from raddiag_hf.core.model_source import ModelSourceError, open_model_source

for options in json.load(sys.stdin):
    fetch = options.pop("fetch", False)
    try:
        source, config = open_model_source(**options)
        if fetch:
            source.fetch_folder(
                ("config.json", "preprocessor_config.json", "model*.safetensors"),
                options.get("subfolder", ""),
            )
        answer = {"commit": source.commit, "config": config, "files": sorted(source.list_files())}
        assert "hf_" not in repr(source)
    except ModelSourceError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
"""
SAVED = {
    "config.json": b'{"model_type": "raddiag"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": b"weights",
    "training_args.bin": b"not needed",
    "README.md": b"not needed",
}


@pytest.fixture
def hub():
    with HubStandIn(tokens={"hf_alice": "alice"}) as running:
        running.add("model", "owner/saved", SAVED)
        running.add("model", "owner/gated", SAVED, gated=True)
        running.add("model", "owner/private", SAVED, private=True)
        running.add("model", "owner/authors", {"run/pytorch_model.bin": b"", "labels.json": b""})
        running.add("model", "owner/nested", {f"best/{name}": SAVED[name] for name in SAVED})
        running.add("model", "owner/statistics", {"config.json": b"{}", "a/model.bin": b""})
        yield running


@pytest.fixture
def open_in_turn(hub, tmp_path):
    """A function that opens places one after the other and returns what became of each."""

    def run(*places, token=None, **variables):
        environment = os.environ | hub.environment(tmp_path / "cache", token) | variables
        process = subprocess.run(
            [sys.executable, "-c", OPEN_IN_TURN],
            input=json.dumps(places),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return [json.loads(line) for line in process.stdout.splitlines()]

    return run


def test_what_the_hub_has_is_found(hub, open_in_turn):
    saved, authors, nested, statistics = open_in_turn(
        {"model_id": "owner/saved", "fetch": True},
        {"model_id": "owner/authors"},
        {"model_id": "owner/nested", "subfolder": "best", "fetch": True},
        {"model_id": "owner/statistics"},
    )
    assert saved["config"] == {"model_type": "raddiag"}
    assert saved["commit"] == hub.repositories["model", "owner/saved"].references["main"]
    assert authors == {
        "commit": hub.repositories["model", "owner/authors"].references["main"],
        "config": None,
        "files": ["labels.json", "run/pytorch_model.bin"],
    }
    assert nested["config"] == {"model_type": "raddiag"}
    assert statistics["config"] is None
    assert "a/model.bin" in statistics["files"]
    needed = {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert set(hub.downloads()) == needed | {f"best/{name}" for name in needed}


def test_a_revision_is_the_one_that_was_asked_for(hub, open_in_turn):
    repository = hub.repositories["model", "owner/saved"]
    first = repository.references["main"]
    repository.references["v1"] = first
    second = repository.commit(SAVED | {"README.md": b"changed"})
    main, tag, commit = open_in_turn(
        {"model_id": "owner/saved"},
        {"model_id": "owner/saved", "revision": "v1"},
        {"model_id": "owner/saved", "revision": first},
    )
    assert [main["commit"], tag["commit"], commit["commit"]] == [second, first, first]


def test_every_refusal_says_what_to_do(open_in_turn):
    answers = open_in_turn(
        {"model_id": "owner/gated"},
        {"model_id": "owner/gated", "token": "hf_alice"},
        {"model_id": "owner/private"},
        {"model_id": "owner/absent"},
        {"model_id": "owner/saved", "revision": "v9"},
        {"model_id": "owner/saved", "token": "hf_wrong"},
        {"model_id": "owner/na me"},
        {"model_id": "a/b/c"},
        {"model_id": "lonely"},
    )
    expected = [
        "owner/gated: access is restricted and no token was given; accept the terms at https://",
        "owner/gated: access is restricted and this account has not been admitted; ask for it at",
        "owner/private: no such folder here, and no such model on the Hub, or a private one",
        "owner/absent: no such folder here, and no such model on the Hub, or a private one",
        "owner/saved: has no revision 'v9'",
        "owner/saved: the Hub refused the token; sign in again with `hf auth login`",
        "owner/na me: is not a Hub id",
        "a/b/c: no such folder, and not a Hub id (owner/name)",
        "lonely: no such folder, and not a Hub id (owner/name)",
    ]
    for answer, start in zip(answers, expected, strict=True):
        assert answer["error"].startswith(start)
        assert "hf_alice" not in answer["error"]
        assert "hf_wrong" not in answer["error"]
        assert "\n" not in answer["error"]


def test_who_was_granted_access_reads_with_the_token_of_the_environment(hub, open_in_turn):
    hub.repositories["model", "owner/gated"].readers.add("alice")
    (answer,) = open_in_turn({"model_id": "owner/gated", "fetch": True}, token="hf_alice")
    assert answer["config"] == {"model_type": "raddiag"}


def test_what_is_cached_needs_no_hub(hub, open_in_turn):
    saved = {"model_id": "owner/saved", "fetch": True}
    (online,) = open_in_turn(saved)
    asked = len(hub.requests)
    offline, absent = open_in_turn(saved, {"model_id": "owner/absent"}, HF_HUB_OFFLINE="1")
    needed = ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert offline == online | {"files": needed}
    assert absent["error"].startswith("owner/absent: the Hub is not asked, because HF_HUB_OFFLINE")
    assert len(hub.requests) == asked


def test_a_partly_cached_model_is_refused_offline(open_in_turn, tmp_path):
    saved = {"model_id": "owner/saved", "fetch": True}
    open_in_turn(saved)
    (weights,) = tmp_path.rglob("model.safetensors")
    weights.unlink()
    (answer,) = open_in_turn(saved, HF_HUB_OFFLINE="1")
    assert answer["error"].startswith("owner/saved: the Hub is not asked")
