"""`raddiag knowledge corpus`: knowledge sources in, pairs to learn from out."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raddiag_hf.cli.console import ArgumentError, check_output_file, say, step_progress
from raddiag_hf.cli.options import with_options
from raddiag_hf.core.progress import Progress
from raddiag_hf.knowledge.corpus.concept_groups import HeldOut
from raddiag_hf.vocabulary import Split

if TYPE_CHECKING:
    from raddiag_hf.knowledge.corpus.concept import Concept

EXAMPLES = """
**Sources.** ICD-10-CM comes with raddiag. UMLS is read from the `META` folder of your licensed
release (`MRCONSO.RRF`, `MRDEF.RRF`, `MRREL.RRF`; with `MRSTY.RRF` only disorders are kept).
Articles are files that you have the right to use: JSONL with the keys `name`, `definition`,
`radiographic_features`, `synonyms`, `parents` (identifiers of other articles) and `id` (the name by
default), or one `.txt` or `.md` file each, with the name in its first line and the headings
`Definition`, `Radiographic features`, `Synonyms` and `Parents`; what stands below other headings is
left out.

**Pairs** are of three kinds: two names of a concept, a concept and its parent, a name and a
description. Concepts are held out in whole families, so nothing held out is learned through a
sibling or another spelling.

**Examples**

`raddiag knowledge corpus --icd10cm --output corpus.parquet`

`raddiag knowledge corpus --icd10cm --umls 2026AB/META --articles articles -o corpus.parquet`
"""


@with_options
def corpus(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Parquet file to write.")
    ],
    icd10cm: Annotated[
        bool, typer.Option("--icd10cm", help="Include the ICD-10-CM tree.", show_default=False)
    ] = False,
    umls: Annotated[
        Path | None, typer.Option(metavar="DIR", help="META folder of a UMLS release.")
    ] = None,
    articles: Annotated[
        Path | None, typer.Option(metavar="DIR|FILE", help="Folder of articles, or a JSONL file.")
    ] = None,
    *,
    held_out: HeldOut,
) -> None:
    """Join knowledge sources into pairs of texts, with negatives of the same format."""
    if not icd10cm and umls is None and articles is None:
        raise ArgumentError("name at least one source: --icd10cm, --umls DIR or --articles DIR")
    check_output_file(output)
    from raddiag_hf.knowledge.corpus.corpus_file import write_corpus
    from raddiag_hf.knowledge.corpus.pairs import build_pairs

    with step_progress() as progress:
        concepts = _read(icd10cm, umls, articles, progress)
        pairs, dropped = build_pairs(concepts, held_out, progress)
    if not pairs:
        raise ArgumentError("the sources hold no pairs: no synonyms, parents or descriptions")
    write_corpus(pairs, output)
    say(*(f"left out: {count:,} {reason}" for reason, count in sorted(dropped.items()) if count))
    counts = Counter((pair.split.value, pair.kind.value) for pair in pairs)
    for split in Split:
        kinds = [f"{n:,} {kind}" for (of, kind), n in sorted(counts.items()) if of == split]
        typer.echo(f"{split}: {', '.join(kinds) or 'no pairs'}")
    typer.echo(f"{output}: {len(pairs):,} pairs of {len(concepts):,} concepts")


def _read(
    icd10cm: bool, umls: Path | None, articles: Path | None, progress: Progress
) -> "list[Concept]":
    from raddiag_hf.knowledge.corpus.articles import read_articles
    from raddiag_hf.knowledge.corpus.icd10cm import read_icd10cm
    from raddiag_hf.knowledge.corpus.umls import read_umls

    concepts: list[Concept] = []
    if icd10cm:
        concepts += read_icd10cm()
    if umls is not None:
        concepts += read_umls(umls, progress)
    if articles is not None:
        concepts += read_articles(articles)
    return concepts
