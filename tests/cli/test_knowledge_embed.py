"""`raddiag knowledge embed`: what it writes, and what it refuses."""

import json

import pytest
import torch
import typer

from raddiag_hf import RadDiagForImageClassification
from raddiag_hf.cli.console import ArgumentError
from raddiag_hf.cli.knowledge.embed import embed
from raddiag_hf.core.model_source import ModelSourceError
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.model.label_texts import LabelTextError
from tests.fixtures.models import packed_batch, tiny_config
from tests.fixtures.text_encoders import tiny_text_encoder

NAMES = ("Normal", "Cyst of the liver", "Rib fracture")


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tiny_text_encoder(width=12).save_pretrained(folder)
    return folder


@pytest.fixture
def run(tmp_path, encoder_folder):
    """Run the verb in an empty folder, with ``labels.txt`` for labels unless others are given."""
    app = typer.Typer()
    app.command()(embed)
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))

    def run(**options):
        given = {"encoder": encoder_folder, "labels": "labels.txt", "output": "out.safetensors"}
        arguments = [
            part
            for name, value in (given | options).items()
            for part in (f"--{name}", str(tmp_path / value if name != "encoder" else value))
        ]
        app(arguments, standalone_mode=False)
        return tmp_path / (given | options)["output"]

    return run


def knowledge_model():
    torch.manual_seed(0)
    return RadDiagForImageClassification(tiny_config(classifier_type="knowledge")).eval()


def logits_of(model):
    with torch.no_grad():
        return model(**packed_batch([[2, 1]])).logits


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.txt", "\n".join(NAMES)),
        ("dict.json", json.dumps({name: column for column, name in enumerate(NAMES)})),
        ("set.json", LabelSet(NAMES).to_json()),
    ],
)
def test_every_kind_of_label_file_gives_the_embeddings_of_its_names(
    run, file, text, tmp_path, encoder_folder
):
    (tmp_path / file).write_text(text)
    stored = LabelEmbeddings.load(run(labels=file))
    encoder = TextEncoder.from_pretrained(encoder_folder)
    torch.testing.assert_close(stored.embeddings, encoder.encode(NAMES))
    assert stored.label_set == LabelSet(NAMES)
    assert stored.fingerprint == encoder.fingerprint


def test_files_can_be_read_by_others(run, tmp_path):
    knowledge_model().save_pretrained(tmp_path / "model")
    written = (run(model="model"), tmp_path / "model" / "model.safetensors")
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in written)


def test_stored_embeddings_take_the_place_of_the_encoder(run, encoder_folder):
    by_file, by_encoder = knowledge_model(), knowledge_model()
    by_file.set_label_texts(NAMES, LabelEmbeddings.load(run()))
    by_encoder.set_label_texts(NAMES, TextEncoder.from_pretrained(encoder_folder))
    torch.testing.assert_close(logits_of(by_file), logits_of(by_encoder))


def test_a_model_folder_gets_the_labels_and_keeps_its_other_files(run, tmp_path, encoder_folder):
    folder = tmp_path / "model"
    model = knowledge_model()
    model.save_pretrained(folder)
    (folder / "README.md").write_text("a card")
    run(model="model")
    loaded = RadDiagForImageClassification.from_pretrained(folder)
    model.set_label_texts(NAMES, TextEncoder.from_pretrained(encoder_folder))
    assert torch.equal(logits_of(loaded), logits_of(model))
    assert loaded.config.id2label == dict(enumerate(NAMES))
    assert loaded.config.text_encoder_fingerprint == model.config.text_encoder_fingerprint
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "weights_digest.json",
    ]


def test_a_model_of_another_encoder_refuses_and_nothing_is_written(run, tmp_path):
    folder = tmp_path / "model"
    model = knowledge_model()
    model.set_label_texts(NAMES, tiny_text_encoder(width=12, seed=1))
    model.save_pretrained(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (tmp_path / "labels.txt").write_text("Osteoma")
    with pytest.raises(LabelTextError, match="mean nothing here"):
        run(model="model")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert not (tmp_path / "out.safetensors").exists()


def test_a_converted_model_is_given_labels_by_the_encoder_that_it_was_trained_with(
    run, tmp_path, encoder_folder
):
    folder = tmp_path / "model"
    model = knowledge_model()
    model.set_label_texts(NAMES, TextEncoder.from_pretrained(encoder_folder))
    model.config.text_encoder_fingerprint = None  # a checkpoint of the authors does not tell
    model.save_pretrained(folder)
    (tmp_path / "labels.txt").write_text("Normal\nOsteoma")
    run(model="model")
    config = RadDiagForImageClassification.from_pretrained(folder).config
    assert config.id2label == {0: "Normal", 1: "Osteoma"}
    assert config.trained_labels == list(NAMES)
    assert (
        config.text_encoder_fingerprint == TextEncoder.from_pretrained(encoder_folder).fingerprint
    )


def test_open_labels_are_shown_with_their_nearest_trained_ones(
    run, tmp_path, encoder_folder, capsys
):
    model = knowledge_model()
    model.set_label_texts(NAMES, TextEncoder.from_pretrained(encoder_folder))
    model.save_pretrained(tmp_path / "model")
    names = ["Normal", "Cyst of the livers", "zzz 0000 !!!"]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    run(model="model")
    shown = capsys.readouterr()
    text = shown.out + shown.err
    assert "'Cyst of the livers' was not trained; nearest trained labels: 'Cyst of" in text
    assert "warning: 'zzz 0000 !!!' was not trained" in shown.err
    assert "'Normal' was not trained" not in text


def test_a_model_stays_as_it_is_where_the_file_cannot_be_written(run, tmp_path):
    knowledge_model().save_pretrained(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArgumentError, match="folder: is a folder"):
        run(model="model", output="folder")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_folders_that_are_not_there_are_named(run, tmp_path):
    with pytest.raises(
        ArgumentError, match=r"nowhere/out.safetensors: there is no folder .*nowhere"
    ):
        run(output="nowhere/out.safetensors")
    with pytest.raises(ArgumentError, match="nomodel: not the folder of a saved model"):
        run(model="nomodel")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(ModelSourceError, match="broken"):
        run(model="broken")


def test_what_is_read_is_not_replaced(run, tmp_path):
    with pytest.raises(ArgumentError, match="is the file of --labels"):
        run(output="labels.txt")
    knowledge_model().save_pretrained(tmp_path / "model")
    with pytest.raises(ArgumentError, match="is a file of the model"):
        run(model="model", output="model/config.json")
    assert (tmp_path / "labels.txt").read_text() == "\n".join(NAMES)
