"""A Hub that fails: each fault says what it is, and nothing wrong is taken or kept."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from tests.core.test_model_source import OPEN_IN_TURN, SAVED
from tests.fixtures import hub_standin_faults as faults
from tests.fixtures.hub_standin import HubStandIn

MODEL = {"model_id": "owner/saved", "fetch": True}
WEIGHTS = "safetensors"


@pytest.fixture
def hub():
    with HubStandIn() as running:
        running.add("model", "owner/saved", SAVED)
        yield running


@pytest.fixture
def open_model(hub, tmp_path):
    """A function that opens the model in a process of its own, with one cache for all."""

    def run():
        process = subprocess.run(
            [sys.executable, "-c", OPEN_IN_TURN],
            input=json.dumps([MODEL]),
            env=os.environ | hub.environment(tmp_path / "cache") | {"HF_HUB_ETAG_TIMEOUT": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return json.loads(process.stdout)

    return run


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (faults.refuse(403), "lets nobody read it with this account (status 403"),
        (faults.refuse(404), "has no such file or model (status 404"),
        (faults.refuse(429), "takes no more requests for now (status 429): wait"),
        (faults.refuse(500), "is out of order (status 500); try again later"),
        (faults.drop(), "the connection to the Hub broke off"),
        (faults.drop(WEIGHTS), "the connection to the Hub broke off"),
        (faults.answer_with("<html>sign in</html>"), "is not the Hub, perhaps a page of a proxy"),
    ],
    ids=["403", "404", "429", "500", "drop", "drop weights", "page of a proxy"],
)
def test_each_fault_says_what_it_is(hub, open_model, fault, message):
    hub.spoil = fault
    answer = open_model()
    assert answer["error"].startswith("owner/saved: ")
    assert message in answer["error"]


def test_silence_ends(hub, open_model):
    is_over = threading.Event()
    hub.spoil = faults.stay_silent(is_over)
    start = time.monotonic()
    answer = open_model()
    is_over.set()
    assert answer["error"].startswith("owner/saved: the Hub does not answer")
    assert time.monotonic() - start < 20  # the limit is a second here, ten by default


@pytest.mark.parametrize("fault", [faults.refuse(500), faults.drop()], ids=["500", "drop"])
def test_what_is_cached_is_read_while_the_hub_fails(hub, open_model, fault):
    expected = open_model()
    hub.spoil = fault
    answer = open_model()
    assert (answer["commit"], answer["config"]) == (expected["commit"], expected["config"])


def test_a_configuration_alone_in_the_cache_is_no_model(hub, open_model):
    hub.spoil = faults.drop(WEIGHTS)
    open_model()
    hub.spoil = faults.refuse(500)
    assert "is out of order (status 500)" in open_model()["error"]


def test_wrong_bytes_of_the_right_size_are_dropped(hub, open_model, tmp_path):
    hub.alter = faults.flip_bytes(WEIGHTS)
    assert "model.safetensors is not what the Hub says it is" in open_model()["error"]
    assert list(tmp_path.rglob("model.safetensors")) == []
    hub.alter = None
    assert "error" not in open_model()
    (weights,) = tmp_path.rglob("model.safetensors")
    assert weights.read_bytes() == SAVED["model.safetensors"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_was_damaged_in_the_cache_is_fetched_again(hub, open_model, tmp_path, name):
    open_model()
    (cached,) = tmp_path.rglob(name)
    content = bytearray(cached.read_bytes())
    content[-2] ^= 1
    cached.resolve().chmod(0o644)
    cached.resolve().write_bytes(content)
    assert f"{name} is not what the Hub says it is" in open_model()["error"]
    assert "error" not in open_model()


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub, open_model):
    """The library keeps pieces of 10 MiB."""
    large = {"model.safetensors": bytes(12 * 2**20)}
    hub.add("model", "owner/saved", SAVED | large)
    hub.alter = faults.cut_once(WEIGHTS, 11 * 2**20)
    assert "error" not in open_model()
    asked = [request.range for request in hub.requests if request.range is not None]
    assert asked == [f"bytes={10 * 2**20}-"]
    assert hub.downloads().count("config.json") == 1
