"""`raddiag embed`: embeddings of cases, scans and slices of a data set, as Parquet."""

from pathlib import Path
from typing import Annotated

import typer

from raddiag_hf.cli.console import quiet_libraries, say, step_progress
from raddiag_hf.cli.options import with_options
from raddiag_hf.evaluation.embedding_settings import EmbeddingSettings
from raddiag_hf.training.finetune_settings import BACKBONE_PREFIX, Start, start_kind

EXAMPLES = """
Each table has a column `embedding` and says of what it is; k-NN and probes of any library run on
them. An interrupted run resumes when the same command is given again. Texts are embedded by
`raddiag knowledge embed`.

**Examples**

`raddiag embed --model ./model --dataset cases --output embeddings`

`raddiag embed -m backbone:facebook/dinov2-small -d cases -o embeddings --level case`
"""


@with_options
def embed(
    *,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="ID",
            help="Folder or Hub id of a RadDiag model, or `backbone:` and that of a vision "
            "backbone, whose slices and scans are averaged.",
        ),
    ],
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset", "-d", metavar="DATASET", help="Folder or Hub id of a case data set."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="A new folder, or the same again.")
    ],
    settings: EmbeddingSettings,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which labels to write, where several are; disorders:200 stands for the 200 "
            "with the most training cases.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cuda, cuda:N, mps or cpu; by default the fastest."),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(metavar="REV", help="Branch, tag or commit on the Hub.")
    ] = None,
) -> None:
    """Embed all cases of a data set by a model, or by a vision backbone."""
    import torch

    from raddiag_hf.checkpoints.backbones import load_backbone
    from raddiag_hf.checkpoints.loaded_model import choose_device
    from raddiag_hf.checkpoints.loading import load_model
    from raddiag_hf.data.opening import open_cases
    from raddiag_hf.evaluation.embed_cases import embed_cases

    quiet_libraries(with_datasets=True)
    with step_progress() as progress:
        progress("Reading the data set", 0, 0)
        data = open_cases(dataset, label_column=label_column)
        progress(f"Loading {model}", 0, 0)
        if start_kind(model) is Start.BACKBONE:
            target = choose_device(device)
            torch.manual_seed(0)  # of what is new, and takes the mean: the same in every run
            loaded = load_backbone(model.removeprefix(BACKBONE_PREFIX), revision=revision)
            loaded.model.optimize_for_inference().to(target)
        else:
            loaded = load_model(model, device=device, revision=revision)
        files = embed_cases(loaded, data, output, settings, progress)
    say("Written:", *(f"  {path}" for path in files))
