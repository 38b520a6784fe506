"""`raddiag knowledge pretrain`: a text encoder learns from the corpus."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raddiag_hf.cli.console import quiet_libraries, step_progress
from raddiag_hf.cli.options import with_options
from raddiag_hf.knowledge.encoder.pretraining_settings import PretrainingSettings
from raddiag_hf.vocabulary import Split

if TYPE_CHECKING:
    from raddiag_hf.metrics.bootstrap import PairedMeans

EXAMPLES = """
The encoder is measured against its base on held-out concepts, with 95 % intervals: whether a
synonym or a description finds its concept among all held-out ones, and whether a child is nearer to
its parent than to its cousins. `metrics.json` has all of it.

An interrupted run resumes when the same command is given again. Several GPUs:
`accelerate launch --no-python raddiag knowledge pretrain ...`

**Time.** The defaults are meant for a GPU: on a CPU they take hours. Frozen layers, shorter texts,
smaller batches and fewer steps shorten that: the last example takes about 45 minutes on one core.

**Bases**: `ncbi/MedCPT-Query-Encoder` (the paper's), `FremyCompany/BioLORD-2023` (the authors'
code), any Hugging Face text encoder, or its folder.

**Examples**

`raddiag knowledge pretrain --corpus corpus.parquet --output encoder`

`raddiag knowledge pretrain --base FremyCompany/BioLORD-2023 --corpus corpus.parquet -o encoder
--batch-size 1024 --bf16`

`raddiag knowledge pretrain --base sentence-transformers/all-MiniLM-L6-v2 --corpus corpus.parquet
-o encoder --batch-size 48 --chunk-size 1000 --max-length 32 --frozen-layers 3 --max-steps 1000`
"""


@with_options
def pretrain(
    *,
    corpus: Annotated[
        Path, typer.Option(metavar="FILE", help="What `raddiag knowledge corpus` wrote.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="A folder that is new or empty."),
    ],
    base: Annotated[
        str, typer.Option(metavar="ID|DIR", help="Text encoder to start from.")
    ] = "ncbi/MedCPT-Query-Encoder",
    settings: PretrainingSettings,
) -> None:
    """Pre-train a text encoder on synonyms, hierarchy and descriptions."""
    from accelerate import PartialState

    from raddiag_hf.knowledge.encoder.pretraining_run import run_pretraining

    quiet_libraries()
    with step_progress(quiet=not PartialState().is_main_process) as progress:
        result = run_pretraining(base, corpus, output, settings, progress=progress)
    if result.comparisons:
        typer.echo("held-out concepts, base -> pre-trained (95 % interval of the difference):")
        compared = result.comparisons[Split.TEST]
        for name, comparison in compared.items():
            typer.echo(f"  {name}: {describe_comparison(comparison)}")
        if not compared:
            typer.echo("  none: the corpus holds no test pairs")
        typer.echo(f"{output}")


def describe_comparison(comparison: "PairedMeans") -> str:
    """Return what a metric was and is, how sure the difference is, and by how many queries."""
    from raddiag_hf.metrics.bootstrap import MIN_CLUSTERS

    change = comparison.difference
    interval = f"{change.low:+.3f} to {change.high:+.3f}"
    if comparison.clusters < MIN_CLUSTERS:
        interval = f"no interval with fewer than {MIN_CLUSTERS} families"
    families = "family" if comparison.clusters == 1 else "families"
    return (
        f"{comparison.base.value:.3f} -> {comparison.tuned.value:.3f} ({interval}), "
        f"{comparison.queries:,} queries of {comparison.clusters:,} {families}"
    )
