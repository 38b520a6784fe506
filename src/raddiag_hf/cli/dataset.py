"""`raddiag dataset`: the verbs about case data sets."""

import typer

from raddiag_hf.cli import (
    dataset_build,
    dataset_import,
    dataset_inspect,
    dataset_push,
    dataset_stats,
)

app = typer.Typer(
    name="dataset",
    help="Make, check, describe and publish case data sets.",
    rich_markup_mode="markdown",
)
app.command("build", epilog=dataset_build.EXAMPLES)(dataset_build.build)
app.command("import", epilog=dataset_import.EXAMPLES)(dataset_import.import_hospital)
app.command("inspect", epilog=dataset_inspect.EXAMPLES)(dataset_inspect.inspect)
app.command("stats", epilog=dataset_stats.EXAMPLES)(dataset_stats.stats)
app.command("push", epilog=dataset_push.EXAMPLES)(dataset_push.push)


@app.callback(invoke_without_command=True)
def dataset(context: typer.Context) -> None:
    """Show the verbs where none is named."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
