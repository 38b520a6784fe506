"""`raddiag knowledge`: its verbs."""

import typer

from raddiag_hf.cli.knowledge import corpus, embed, pretrain, relate

knowledge = typer.Typer(
    name="knowledge",
    help="Teach a text encoder what disorders mean.",
    rich_markup_mode="markdown",
)
knowledge.command("corpus", epilog=corpus.EXAMPLES)(corpus.corpus)
knowledge.command("pretrain", epilog=pretrain.EXAMPLES)(pretrain.pretrain)
knowledge.command("embed", epilog=embed.EXAMPLES)(embed.embed)
knowledge.command("relate", epilog=relate.EXAMPLES)(relate.relate)
