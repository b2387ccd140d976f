"""The program: its commands in the order of `microgpt --help`, and the example that ends the help of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from microgpt import __version__
from microgpt.cli.backends import backends
from microgpt.cli.bench import bench
from microgpt.cli.corpus import corpus
from microgpt.cli.errors import ending_in_a_sentence
from microgpt.cli.evaluate import evaluate
from microgpt.cli.export import export
from microgpt.cli.generate import generate
from microgpt.cli.info import info
from microgpt.cli.race import race
from microgpt.cli.report import report
from microgpt.cli.runs import runs
from microgpt.cli.train import train
from microgpt.cli.xray import xray
from microgpt.terminal.usage import OneLineErrors

app = typer.Typer(
    cls=OneLineErrors,
    help="Train a small Transformer on your own text, in a minute, on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time
    add_completion=True,
)


@app.callback(invoke_without_command=True)
def version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _add(function: Callable[..., None], example: str, *, takes_more: bool = False) -> None:
    """Add a command, named by the first word of its example.

    takes_more  whether its arguments may be options that it does not have itself
    """
    app.command(
        example.split()[0],
        epilog=f"Example: microgpt {example}",
        context_settings={"ignore_unknown_options": takes_more},
    )(ending_in_a_sentence(function))


_add(train, "train my.txt --minutes 1")
_add(generate, 'generate runs/my --prompt "Once" --length 500')
_add(evaluate, "eval runs/my other.txt")
_add(xray, "xray runs/my --out page.html")
_add(export, "export page runs/my --out page.html")
_add(info, "info runs/my")
_add(report, "report runs/my runs/other --out page.html")
_add(runs, "runs")
_add(backends, "backends")
_add(bench, "bench 100")
_add(race, "race my.txt --layouts uniform,exponential --seeds 20 --steps 3000", takes_more=True)
_add(corpus, "corpus shakespeare --out data/shakespeare.txt")
