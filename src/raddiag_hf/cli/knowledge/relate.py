"""`raddiag knowledge relate`: the labels of a model that mean the classes of another data set."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, check_output_file, quiet_libraries
from raddiag_hf.core.plain_text import printable

EXAMPLES = """
For diagnosing another data set's classes without training. Each class becomes the union of its
related labels: it counts as present where any of them reaches its threshold, and its score is their
highest. The file has one row per class and label, for you to check and to edit: delete what does
not belong, add what is missing. In Python, `ZeroShotMapping.load` reads it.

**Examples**

`raddiag knowledge relate --encoder encoder --labels labels.txt --targets theirs.txt`

`raddiag knowledge relate --encoder encoder --labels embedded.safetensors --targets theirs.txt`
"""


def relate(
    encoder: Annotated[
        str, typer.Option(metavar="DIR|ID", help="A text encoder: a folder or Hub id.")
    ],
    labels: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Labels of the model: a label file, or what `raddiag knowledge embed` wrote.",
        ),
    ],
    targets: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Classes of the other data set: a label file."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A CSV file.")
    ] = Path("related_labels.csv"),
    top_k: Annotated[int, typer.Option(min=1, help="The most labels of a class.")] = 5,
    min_similarity: Annotated[
        float,
        typer.Option(
            min=-1, max=1, help="Cosine below which only the most similar label is proposed."
        ),
    ] = 0.5,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file, with all that was edited in it.")
    ] = False,
) -> None:
    """Propose the labels that are related to each class of another data set."""
    from raddiag_hf.checkpoints.label_file import read_label_file
    from raddiag_hf.cli.console import SafeConsole
    from raddiag_hf.knowledge.encoder.text_encoder import TextEncoder
    from raddiag_hf.labels.label_embeddings import LabelEmbeddings
    from raddiag_hf.labels.zero_shot import propose_related_labels

    quiet_libraries()
    check_output_file(output)
    if output.exists() and not overwrite:
        raise ArgumentError(f"--output {output}: exists; name a new file, or give --overwrite")
    target_set = read_label_file(targets)
    is_embedded = labels.suffix == ".safetensors"
    stored = LabelEmbeddings.load(labels) if is_embedded else None
    label_set = read_label_file(labels) if stored is None else stored.label_set
    with SafeConsole(stderr=True).status(f"Embedding {len(label_set) + len(target_set)} names"):
        text_encoder = TextEncoder.from_pretrained(encoder)
        if stored is not None and stored.fingerprint != text_encoder.fingerprint:
            raise ArgumentError(
                f"--labels {labels}: was embedded by another text encoder "
                f"({stored.fingerprint[:12]}) than {encoder} ({text_encoder.fingerprint[:12]})"
            )
        mapping = propose_related_labels(
            target_set.names,
            label_set,
            text_encoder,
            label_embeddings=None if stored is None else stored.embeddings,
            top_k=top_k,
            min_similarity=min_similarity,
        )
    mapping.save(output)
    for target, related in mapping.related.items():
        names = ", ".join(
            f"{label} ({mapping.similarities[target, label]:.2f})" for label in related
        )
        typer.echo(printable(f"{target}: {names}"))
    typer.echo(f"{output}: {len(target_set)} classes; check and edit it before use", err=True)
