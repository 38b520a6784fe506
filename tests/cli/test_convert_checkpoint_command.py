"""`raddiag convert-checkpoint`: the authors' file in, a folder that loads out."""

import json

import numpy as np
import pytest
import torch

from raddiag_hf import RadDiagForImageClassification, RadDiagImageProcessor
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from tests.fixtures.saved_models import LABELS, authors_checkpoint, authors_label_file


@pytest.fixture
def files(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(authors_checkpoint())
    (tmp_path / "knowledge.bin").write_bytes(authors_checkpoint(ke=True))
    (tmp_path / "late.bin").write_bytes(authors_checkpoint(fuse="late"))
    (tmp_path / "labels.json").write_bytes(authors_label_file())
    (tmp_path / "two.json").write_text(json.dumps(["Normal", "Cyst"]))
    (tmp_path / "noise.bin").write_bytes(b"noise")
    np.save(tmp_path / "texts.npy", np.random.default_rng(0).normal(size=(5, 12)))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "empty.npy").touch()
    np.save(tmp_path / "nan.npy", np.full((5, 12), np.nan))
    embedded = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    # In another order than the checkpoint's columns.
    LabelEmbeddings(LabelSet(LABELS[::-1]), embedded, "ab12").save(tmp_path / "texts.safetensors")
    LabelEmbeddings(LabelSet(("Normal",)), embedded[:1], "ab12").save(tmp_path / "one.safetensors")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("keep me")
    return tmp_path


def convert(run, files, checkpoint, *options, labels="labels.json", output="model"):
    return run(
        "convert-checkpoint", files / checkpoint, "--labels", files / labels,
        "--output", files / output, "--image-size", "32", *options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("checkpoint", "options", "fusion", "classifier"),
    [
        ("pytorch_model.bin", [], "transformer", "linear"),
        ("late.bin", ["--late-fusion", "mean"], "mean", "linear"),
        ("knowledge.bin", ["--label-embeddings", "{files}/texts.npy"], "transformer", "knowledge"),
    ],
)
def test_every_variant_becomes_a_model_folder(run, files, checkpoint, options, fusion, classifier):
    options = [option.format(files=files) for option in options]
    code, out, err = convert(run, files, checkpoint, *options)
    assert (code, out, err) == (0, "", f"Model: {files / 'model'}\n")
    config = RadDiagForImageClassification.from_pretrained(files / "model").config
    assert tuple(config.id2label.values()) == LABELS
    assert (config.fusion_type, config.classifier_type) == (fusion, classifier)
    assert RadDiagImageProcessor.from_pretrained(files / "model").image_size == 32


def test_the_working_folder_can_become_the_model(run, files, monkeypatch):
    (files / "here").mkdir()
    monkeypatch.chdir(files / "here")
    checkpoint, labels = files / "late.bin", files / "labels.json"
    code, _, _ = run("convert-checkpoint", checkpoint, "--labels", labels, "--output", ".")
    assert code == 0
    assert (files / "here" / "model.safetensors").is_file()


def test_stored_label_embeddings_tell_the_model_its_text_encoder(run, files):
    texts = files / "texts.safetensors"
    code, _, _ = convert(run, files, "knowledge.bin", "--label-embeddings", texts)
    assert code == 0
    model = RadDiagForImageClassification.from_pretrained(files / "model")
    assert model.config.text_encoder_fingerprint == "ab12"
    assert torch.equal(
        model.classifier.label_embeddings, LabelEmbeddings.load(texts).encode(LABELS)
    )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ({"checkpoint": "absent.bin"}, [], "absent.bin: no such file"),
        ({"checkpoint": "noise.bin"}, [], "noise.bin: not a checkpoint of tensors"),
        ({"checkpoint": "knowledge.bin"}, [], "knowledge.bin: the checkpoint has a knowledge head"),
        ({"labels": "absent.json"}, [], "absent.json: No such file"),
        ({"labels": "two.json"}, [], "scores 5 labels, but 2 label names were given"),
        ({"output": "full"}, [], "full: exists already"),
        ({"output": "/proc/model"}, [], "--output /proc/model: /proc cannot be written"),
        ({}, ["--label-embeddings", "{files}/labels.json"], "labels.json: not an array"),
        ({}, ["--label-embeddings", "{files}/objects.npy"], "objects.npy: not an array"),
        ({}, ["--label-embeddings", "{files}/empty.npy"], "empty.npy: not an array"),
        (
            {"checkpoint": "knowledge.bin"},
            ["--label-embeddings", "{files}/nan.npy"],
            "knowledge.bin: label embeddings are not all finite",
        ),
        (
            {"checkpoint": "knowledge.bin"},
            ["--label-embeddings", "{files}/one.safetensors"],
            "not among the 1 embedded labels",
        ),
        ({}, ["--late-fusion", "median"], "--late-fusion"),
        ({}, ["--image-size", "0"], "--image-size"),
    ],
)
def test_bad_input_is_answered_in_one_line_and_leaves_nothing(
    run, files, arguments, options, message
):
    before = sorted(files.rglob("*"))
    options = [option.format(files=files) for option in options]
    checkpoint = arguments.get("checkpoint", "pytorch_model.bin")
    others = {name: value for name, value in arguments.items() if name != "checkpoint"}
    code, out, err = convert(run, files, checkpoint, *options, **others)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert sorted(files.rglob("*")) == before
