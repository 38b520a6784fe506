"""`raddiag knowledge relate`: the file of related labels that it proposes."""

import pytest
import typer

from raddiag_hf.cli.console import ArgumentError
from raddiag_hf.cli.knowledge.relate import relate
from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
from raddiag_hf.labels.label_embeddings import LabelEmbeddings
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.labels.zero_shot import ZeroShotMapping, propose_related_labels
from tests.fixtures.text_encoders import tiny_text_encoder

LABELS = LabelSet(("Normal", "Cyst of the liver", "Rib fracture"))
TARGETS = ("liver", "fracture")


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    tiny_text_encoder(width=12).save_pretrained(folder)
    return folder


@pytest.fixture
def run(tmp_path, encoder_folder):
    """Run the verb in an empty folder with these labels and targets."""
    app = typer.Typer()
    app.command()(relate)
    (tmp_path / "labels.txt").write_text("\n".join(LABELS.names))
    (tmp_path / "targets.txt").write_text("\n".join(TARGETS))

    def run(*flags, labels="labels.txt"):
        files = {"labels": labels, "targets": "targets.txt", "output": "related.csv"}
        paths = [part for name, file in files.items() for part in (f"--{name}", tmp_path / file)]
        arguments = ["--encoder", encoder_folder, *paths, *flags]
        app([str(argument) for argument in arguments], standalone_mode=False)
        return ZeroShotMapping.load(tmp_path / "related.csv", LABELS)

    return run


def test_the_file_holds_what_the_encoder_proposes(run, encoder_folder, capsys):
    written = run("--top-k", 2, "--min-similarity", -1)
    encoder = TextEncoder.from_pretrained(encoder_folder)
    proposed = propose_related_labels(TARGETS, LABELS, encoder, top_k=2, min_similarity=-1)
    assert written.related == proposed.related
    best = proposed.related["liver"][0]
    assert f"liver: {best} ({proposed.similarities['liver', best]:.2f})" in capsys.readouterr().out


def test_stored_embeddings_propose_the_same(run, tmp_path, encoder_folder):
    encoder = TextEncoder.from_pretrained(encoder_folder)
    LabelEmbeddings.embed(LABELS, encoder).save(tmp_path / "embedded.safetensors")
    assert run(labels="embedded.safetensors").related == run("--overwrite").related


def test_embeddings_of_another_encoder_are_refused(run, tmp_path):
    other = tiny_text_encoder(width=12, seed=1)
    LabelEmbeddings.embed(LABELS, other).save(tmp_path / "embedded.safetensors")
    with pytest.raises(ArgumentError, match="embedded by another text encoder"):
        run(labels="embedded.safetensors")


def test_an_edited_file_is_not_replaced_unasked(run, tmp_path):
    edited = "target,related\nliver,Rib fracture\n"
    (tmp_path / "related.csv").write_text(edited)
    with pytest.raises(ArgumentError, match="exists; name a new file"):
        run()
    assert (tmp_path / "related.csv").read_text() == edited


def test_a_folder_in_the_place_of_the_file_is_refused(run, tmp_path):
    (tmp_path / "related.csv").mkdir()
    with pytest.raises(ArgumentError, match=r"related\.csv: is a folder"):
        run("--overwrite")
