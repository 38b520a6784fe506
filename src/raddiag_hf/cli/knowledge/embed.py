"""`raddiag knowledge embed`: labels through a text encoder, into a file or a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raddiag_hf.cli.console import (
    ArgumentError,
    check_output_file,
    check_writable,
    quiet_libraries,
    say,
)
from raddiag_hf.core.plain_text import printable

if TYPE_CHECKING:
    from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
    from raddiag_hf.labels.label_embeddings import LabelEmbeddings
    from raddiag_hf.model.modeling_raddiag import RadDiagForImageClassification

EXAMPLES = """
The file holds the embeddings with the label set and the fingerprint of the encoder. A model takes
the labels of its training from it, or, once trained, other labels to score; a model of another
encoder refuses them. For labels that the model was not trained with, the nearest trained ones are
printed, with their cosine distances: scores of a label that is far from all of them are a guess.

**Examples**

`raddiag knowledge embed --encoder knowledge-encoder --labels disorder_label_dict.json`

`raddiag knowledge embed --encoder knowledge-encoder --labels ours.txt --model model/`
"""


def embed(
    encoder: Annotated[
        str,
        typer.Option(metavar="DIR|ID", help="A text encoder: a folder or Hub id."),
    ],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Label names: a label set, JSON name -> column, a JSON list, or one per line.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A safetensors file.")
    ] = Path("label_embeddings.safetensors"),
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also make them the labels of this model, in its own files.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Embed names of labels, or definitions of codes, as the knowledge classifier reads them."""
    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.cli.console import SafeConsole
    from raddiag_hf.core.atomic_files import replaced_files
    from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
    from raddiag_hf.labels.label_embeddings import LabelEmbeddings

    quiet_libraries()
    check_output_file(output)
    if model is not None:
        if not (model / "config.json").is_file():
            raise ArgumentError(f"--model {model}: not the folder of a saved model")
        check_writable(model, f"--model {model}")
        if output.resolve().parent == model.resolve() and output.exists():
            raise ArgumentError(f"--output {output}: is a file of the model; name another")
    if output.resolve() == labels.resolve():
        raise ArgumentError(f"--output {output}: is the file of --labels; name another")
    label_set = read_label_file(labels)
    with SafeConsole(stderr=True).status(f"Embedding {len(label_set)} labels"):
        text_encoder = TextEncoder.from_pretrained(encoder)
        embedded = LabelEmbeddings.embed(label_set, text_encoder)
        changed = None if model is None else _set_labels(model, embedded, text_encoder)
    embedded.save(output)
    say(f"Label embeddings: {output}")
    if model is not None and changed is not None:
        with replaced_files(model) as written:
            changed.save_pretrained(written)
        say(f"Model: {model}")
        _print_open_labels(changed)


def _set_labels(
    folder: Path, embedded: "LabelEmbeddings", text_encoder: "TextEncoder"
) -> "RadDiagForImageClassification":
    """Return a saved model with these labels; its files stay as they are."""
    from raddiag_hf.checkpoints.saved_model import read_saved_model
    from raddiag_hf.labels.label_embeddings import LabelReader
    from raddiag_hf.model.heads import KnowledgeHead

    model = read_saved_model(folder, str(folder))
    head = model.classifier
    has_texts = isinstance(head, KnowledgeHead) and head.has_label_embeddings()
    if has_texts and model.config.text_encoder_fingerprint is None:
        # Its encoder is recognised by what it makes of the model's own labels.
        reader = LabelReader(embedded.label_set, text_encoder)
        model.set_label_texts(embedded.label_set.names, reader)
    else:
        model.set_label_texts(embedded.label_set.names, embedded)
    return model


def _print_open_labels(model: "RadDiagForImageClassification") -> None:
    from raddiag_hf.labels.open_labels import open_labels_of

    found = open_labels_of(model)
    for label in found.labels:
        if label.is_far:
            typer.echo(printable(f"warning: {found.warning(label)}"), err=True)
        else:
            typer.echo(printable(str(label)))
