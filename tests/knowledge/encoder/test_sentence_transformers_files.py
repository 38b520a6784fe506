"""Pooling files on the Hub: there, not there, or out of reach."""

import json

import pytest
from huggingface_hub import _CACHED_NO_EXIST
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

from raddiag_hf.knowledge.encoder import sentence_transformers_files
from raddiag_hf.knowledge.encoder.sentence_transformers_files import (
    SentenceTransformersFiles,
    read_sentence_transformers_files,
)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub that holds the files it is given, or raises the error it is given."""

    def serve(files=None, error=None, cached=None):
        def download(repo_id, file, revision, token):
            if error is not None:
                raise error
            if file not in (files or {}):
                raise EntryNotFoundError("404")
            path = tmp_path / file.replace("/", "-")
            path.write_text(json.dumps(files[file]))
            return str(path)

        monkeypatch.setattr(sentence_transformers_files, "hf_hub_download", download)
        monkeypatch.setattr(
            sentence_transformers_files, "try_to_load_from_cache", lambda *_, **__: cached
        )

    return serve


def test_a_repository_without_these_files_says_nothing(hub):
    hub()
    assert read_sentence_transformers_files("owner/encoder") == SentenceTransformersFiles()


@pytest.mark.parametrize(
    "pooling",
    [
        {"pooling_mode": "mean"},
        {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True},
    ],
)
def test_old_and_new_spellings_of_pooling_are_read(hub, pooling):
    hub({"1_Pooling/config.json": pooling, "sentence_bert_config.json": {"max_seq_length": 128}})
    found = read_sentence_transformers_files("owner/encoder")
    assert found == SentenceTransformersFiles("mean", 128)


def test_two_poolings_at_once_are_refused(hub):
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    hub({"1_Pooling/config.json": flags})
    with pytest.raises(ValueError, match="expected one of"):
        read_sentence_transformers_files("owner/encoder")


def test_offline_the_cache_knows_which_files_there_are_not(hub):
    """MedCPT has none of these files, and has to load offline once it is cached."""
    hub(error=LocalEntryNotFoundError("offline"), cached=_CACHED_NO_EXIST)
    assert read_sentence_transformers_files("owner/encoder") == SentenceTransformersFiles()


def test_offline_an_unknown_encoder_is_refused(hub):
    hub(error=LocalEntryNotFoundError("offline"))
    with pytest.raises(OSError, match="the Hub cannot be reached"):
        read_sentence_transformers_files("owner/encoder")
