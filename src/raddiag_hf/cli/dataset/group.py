"""`raddiag dataset`: its verbs."""

import typer

from raddiag_hf.cli.dataset import build, import_hospital, inspect, lookup, push, stats

dataset = typer.Typer(
    name="dataset",
    help="Make, check, describe and publish case data sets.",
    rich_markup_mode="markdown",
)
dataset.command("build", epilog=build.EXAMPLES)(build.build)
dataset.command("import", epilog=import_hospital.EXAMPLES)(import_hospital.import_hospital)
dataset.command("inspect", epilog=inspect.EXAMPLES)(inspect.inspect)
dataset.command("lookup", epilog=lookup.EXAMPLES)(lookup.lookup)
dataset.command("stats", epilog=stats.EXAMPLES)(stats.stats)
dataset.command("push", epilog=push.EXAMPLES)(push.push)
