"""`raddiag knowledge`: the verbs about what disorders mean."""

import typer

from raddiag_hf.cli import knowledge_corpus, knowledge_embed, knowledge_pretrain, knowledge_relate

app = typer.Typer(
    name="knowledge",
    help="Teach a text encoder what disorders mean.",
    rich_markup_mode="markdown",
)
app.command("corpus", epilog=knowledge_corpus.EXAMPLES)(knowledge_corpus.corpus)
app.command("pretrain", epilog=knowledge_pretrain.EXAMPLES)(knowledge_pretrain.pretrain)
app.command("embed", epilog=knowledge_embed.EXAMPLES)(knowledge_embed.embed)
app.command("relate", epilog=knowledge_relate.EXAMPLES)(knowledge_relate.relate)


@app.callback(invoke_without_command=True)
def knowledge(context: typer.Context) -> None:
    """Show the verbs where none is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
