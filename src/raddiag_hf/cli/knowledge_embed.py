"""`raddiag knowledge embed`: label names through a text encoder, into a file or a model."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raddiag_hf.cli.scan_arguments import ArgumentError

if TYPE_CHECKING:
    from raddiag_hf.knowledge.label_embeddings import LabelEmbeddings

EXAMPLES = """
The file holds the embeddings with the label set and the fingerprint of the encoder. A model takes
the labels of its training from it, or, once trained, other labels to score; a model of another
encoder refuses them.

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
    """Embed the names of labels, as the knowledge classifier reads them."""
    from rich.console import Console
    from transformers.utils import logging as transformers_logging

    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.knowledge.label_embeddings import LabelEmbeddings
    from raddiag_hf.knowledge.text_encoder import TextEncoder

    transformers_logging.disable_progress_bar()
    progress = Console(stderr=True)
    label_set = read_label_file(labels)
    if not output.absolute().parent.is_dir():
        raise ArgumentError(f"--output {output}: its folder does not exist")
    with progress.status(f"Embedding {len(label_set)} labels"):
        embedded = LabelEmbeddings.embed(label_set, TextEncoder.from_pretrained(encoder))
    if model is not None:
        _store_in_model(embedded, model)
        progress.print(f"Model: {model}", markup=False, highlight=False, soft_wrap=True)
    embedded.save(output)
    progress.print(f"Label embeddings: {output}", markup=False, highlight=False, soft_wrap=True)


def _store_in_model(embedded: "LabelEmbeddings", folder: Path) -> None:
    """Make the labels those of a saved model; its files are replaced one by one, or not at all."""
    import tempfile

    from raddiag_hf.inference.loading import read_saved_model
    from raddiag_hf.knowledge.open_labels import set_open_labels

    if not (folder / "config.json").is_file():
        raise ArgumentError(f"--model {folder}: not the folder of a saved model")
    model = read_saved_model(folder, str(folder))
    set_open_labels(model, embedded.label_set.names, embedded)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
        model.save_pretrained(temporary)
        # Weights first: a configuration that came first could name more labels than there are.
        for path in sorted(Path(temporary).iterdir(), key=lambda path: path.suffix == ".json"):
            path.chmod(0o644)  # safetensors keeps its files to their owner
            os.replace(path, folder / path.name)
