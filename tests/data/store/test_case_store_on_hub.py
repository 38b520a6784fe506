"""Opening a case data set on a stand-in Hub."""

import pytest
from huggingface_hub import HfFileSystem, constants

from raddiag_hf.core.hub_errors import HubAccessError
from raddiag_hf.data.store.case_store import CaseStore
from raddiag_hf.vocabulary import Split
from tests.fixtures.cases import numbered, write_store
from tests.fixtures.folders import contents
from tests.fixtures.hub_standin import HubStandIn


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Two gated data sets of Alice's; nobody is signed in."""
    write_store(tmp_path / "store", {Split.TRAIN: numbered(range(3))})
    files = contents(tmp_path / "store")
    HfFileSystem.clear_instance_cache()
    with HubStandIn(tokens={"hf_alice": "alice", "hf_bob": "bob"}) as running:
        running.add("dataset", "alice/cases", files, gated=True)
        running.add("dataset", "alice/aggregated-cases", files, private=True)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running
    HfFileSystem.clear_instance_cache()


def test_a_token_opens_it_and_is_not_shown(hub):
    store = CaseStore.open("hf://datasets/alice/cases", token="hf_alice\n")
    assert store.num_cases(Split.TRAIN) == 3
    (batch,) = store.iter_batches(Split.TRAIN, with_pixels=True)
    assert batch.column("case_id").to_pylist() == ["case-0", "case-1", "case-2"]
    assert "hf_alice" not in repr(store)


@pytest.mark.parametrize(
    ("repo_id", "token", "message"),
    [
        ("alice/cases", None, "no token was given; accept the terms at https://"),
        ("alice/cases", True, "no token is stored; sign in with"),
        ("alice/cases", "hf_bob", "this account has not been admitted; ask for it at https://"),
        ("alice/cases", "hf_wrong", "the Hub refused the token; sign in again"),
        ("alice/absent", "hf_bob", "no such data set on the Hub, or a private one"),
        ("alice/aggregated-cases", "hf_bob", "no such data set on the Hub, or a private one"),
    ],
)
def test_who_may_not_read_it_learns_why(hub, repo_id, token, message):
    with pytest.raises(HubAccessError, match=f"{repo_id}: .*{message}"):
        CaseStore.open(f"hf://datasets/{repo_id}", token=token)


def test_a_hub_out_of_reach_is_said_so(monkeypatch):
    HfFileSystem.clear_instance_cache()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubAccessError, match="alice/cases: the Hub cannot be reached"):
        CaseStore.open("hf://datasets/alice/cases")
    HfFileSystem.clear_instance_cache()
