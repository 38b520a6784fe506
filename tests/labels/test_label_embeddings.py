"""`LabelEmbeddings`: one file, what made it, and what is not taken for it."""

import pytest
import torch
from safetensors import safe_open

from raddiag_hf.labels.label_embeddings import LabelEmbeddings, LabelEmbeddingsError, LabelReader
from raddiag_hf.labels.label_set import LabelSet
from tests.fixtures.text_encoders import tiny_text_encoder

NAMES = ("Normal", "Cyst of the liver", "Rib fracture")


@pytest.fixture(scope="module")
def stored():
    return LabelEmbeddings.embed(LabelSet(NAMES), tiny_text_encoder(width=12))


def test_the_file_says_what_it_holds(stored, tmp_path):
    stored.save(tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        metadata = file.metadata()
        assert file.get_slice("label_embeddings").get_shape() == [3, 12]
    assert metadata["label_set_fingerprint"] == LabelSet(NAMES).fingerprint
    assert LabelSet.from_json(metadata["label_set"]).names == NAMES
    assert metadata["text_encoder_fingerprint"] == tiny_text_encoder(width=12).fingerprint


def test_what_was_saved_is_read(stored, tmp_path):
    stored.save(tmp_path / "out.safetensors")
    again = LabelEmbeddings.load(tmp_path / "out.safetensors")
    assert (again.label_set, again.fingerprint) == (stored.label_set, stored.fingerprint)
    assert torch.equal(again.encode(NAMES[:2]), stored.embeddings[:2])


def test_a_code_is_embedded_by_its_definition(caplog):
    encoder = tiny_text_encoder(width=12)
    label_set = LabelSet(
        ("Normal", "J93", "S72 Fracture of femur", "A00"),
        codes=("", "J93", "S72", "A00"),
        definitions=("", "Pneumothorax and air leak", "Fracture of femur", ""),
    )
    read = ["Normal", "Pneumothorax and air leak", "Fracture of femur", "A00"]
    embedded = LabelEmbeddings.embed(label_set, encoder)
    torch.testing.assert_close(embedded.encode(label_set.names), encoder.encode(read))
    assert "1 of 4 labels are codes without a definition, A00 for one" in caplog.text
    reader = LabelReader(label_set, encoder)
    assert reader.fingerprint == embedded.fingerprint
    torch.testing.assert_close(reader.encode(["J93", "Gout"]), encoder.encode([read[1], "Gout"]))


@pytest.mark.parametrize("content", [b"", b"no safetensors at all"])
def test_another_file_is_not_taken_for_embeddings(content, tmp_path):
    path = tmp_path / "embeddings.safetensors"
    path.write_bytes(content)
    with pytest.raises(LabelEmbeddingsError, match=r"embeddings.safetensors: no label embeddings"):
        LabelEmbeddings.load(path)


def test_embeddings_of_other_names_are_not_made_up(stored):
    with pytest.raises(LabelEmbeddingsError, match="'Osteoma' for one"):
        stored.encode(["Normal", "Osteoma"])


def test_embeddings_of_a_broken_encoder_are_refused():
    with pytest.raises(LabelEmbeddingsError, match="not all finite"):
        LabelEmbeddings(LabelSet(("Normal",)), torch.full((1, 4), torch.nan), "broken")
