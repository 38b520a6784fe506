"""Text encoders on a stand-in Hub: what is fetched, what stays cached, what refusals say."""

import pytest
import torch
from huggingface_hub import constants

from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder, TextEncoderError
from tests.fixtures.folders import contents
from tests.fixtures.hub_standin import HubStandIn
from tests.fixtures.text_encoders import tiny_text_encoder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """One encoder as it is saved, one with a plain folder's files and pickled tensors only."""
    encoder = tiny_text_encoder()
    encoder.save_pretrained(tmp_path / "encoder")
    files = contents(tmp_path / "encoder") | {"onnx/model.onnx": b"", "README.md": b""}
    torch.save(encoder.model.state_dict(), tmp_path / "weights.bin")
    plain = {name: files[name] for name in files if "token" in name or name == "config.json"}
    plain |= {"pytorch_model.bin": (tmp_path / "weights.bin").read_bytes()}
    with HubStandIn(tokens={"hf_alice": "alice", "hf_bob": "bob"}) as running:
        running.add("model", "alice/encoder", files)
        running.add("model", "alice/plain", plain)
        running.add("model", "alice/both", files | plain)
        running.add("model", "alice/gated", files, gated=True)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, running.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield running


def test_an_encoder_is_fetched_without_what_it_does_not_need(hub):
    encoder = TextEncoder.from_pretrained("alice/encoder")
    assert encoder.fingerprint == tiny_text_encoder().fingerprint
    assert {"model.safetensors", "1_Pooling/config.json"} <= set(hub.downloads())
    assert not {"onnx/model.onnx", "README.md"} & set(hub.downloads())


def test_pickled_tensors_are_fetched_where_there_are_no_others(hub):
    assert TextEncoder.from_pretrained("alice/plain").pooling == "cls"
    assert "pytorch_model.bin" in hub.downloads()
    hub.requests.clear()
    TextEncoder.from_pretrained("alice/both")
    assert "pytorch_model.bin" not in hub.downloads()


@pytest.mark.parametrize("name", ["alice/encoder", "alice/plain"])
def test_what_is_cached_needs_no_hub(hub, monkeypatch, name):
    """MedCPT has no file about pooling, and has to load offline once it is cached."""
    online = TextEncoder.from_pretrained(name)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert TextEncoder.from_pretrained(name).fingerprint == online.fingerprint
    assert hub.requests == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("alice/gated", {}, "access is restricted and no token was given"),
        ("alice/gated", {"token": "hf_bob"}, "this account has not been admitted"),
        ("alice/encoder", {"token": "hf_wrong"}, "the Hub refused the token"),
        ("alice/encoder", {"revision": "v9"}, "has no revision 'v9'"),
        ("alice/absent", {}, "no such model on the Hub, or a private one"),
    ],
)
def test_who_may_not_have_it_learns_why(hub, name, options, message):
    with pytest.raises(TextEncoderError, match=f"^{name}: .*{message}") as caught:
        TextEncoder.from_pretrained(name, **options)
    assert "hf_bob" not in str(caught.value)
    assert "hf_wrong" not in str(caught.value)


def test_offline_an_unknown_encoder_is_refused(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(TextEncoderError, match=r"alice/encoder: .*the Hub is not asked"):
        TextEncoder.from_pretrained("alice/encoder")
