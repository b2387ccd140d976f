"""`microgpt export`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Json, Last


def export(
    what: Annotated[
        str, typer.Argument(metavar="page", help="One HTML file, in which the model reads and writes.")
    ],
    run: Annotated[
        Path | None,
        typer.Argument(metavar="RUN", help="A run directory or a checkpoint file.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="page.html in the run's directory")
    ] = None,
    large: Annotated[bool, typer.Option("--large", help="Also write a page of more than 8 MB.")] = False,
    last: Last = False,
    json: Json = False,
) -> None:
    """Make one file of a model that opens in any browser, without a network: to type or to send on."""
    from microgpt.commands.export import export

    export(what, run, out, last=last, large=large, as_json=json)
