"""`microgpt xray`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.bounds import MAX_XRAY_CHARACTERS, XRAY_CHARACTERS
from microgpt.cli.options import Backend, Json, Last, RunPath
from microgpt.config import TrainConfig
from microgpt.errors import UsageError


def xray(
    run: RunPath,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="TEXT",
            help="The text to look at; - reads standard input.",
            show_default="what the run held out",
        ),
    ] = None,
    characters: Annotated[
        int,
        typer.Option(help="How many to look at, from the beginning.", min=2, max=MAX_XRAY_CHARACTERS),
    ] = XRAY_CHARACTERS,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out the characters that the model does not know.")
    ] = False,
    shapley: Annotated[
        bool,
        typer.Option(
            "--shapley",
            help="Also what each head is worth over all orders in which they can be switched on: exactly for "
            "up to 16 heads, and for more from random orders for a minute.",
        ),
    ] = False,
    film: Annotated[
        bool,
        typer.Option(
            "--film", help="Also how the heads came to it, from what train --snapshots has kept on the way."
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page instead, which opens anywhere.")
    ] = None,
    model: Annotated[
        bool | None,
        typer.Option(
            "--model/--no-model",
            help="Whether the page has the model in it, so that it can look at any text.",
            show_default="up to 8 MB",
        ),
    ] = None,
    last: Last = False,
    backend: Backend = TrainConfig.backend,
    json: Json = False,
) -> None:
    """What every head of a model does, in numbers or on a page: its worth, where it looks, what it writes."""
    if model is not None and out is None:
        raise UsageError(f"--{'' if model else 'no-'}model says what is in a page: add --out")
    from microgpt.commands.xray import xray

    xray(
        run, file, characters=characters, skip_unknown=skip_unknown, shapley=shapley, film=film, out=out,
        with_model=model, last=last, backend=backend, as_json=json,
    )  # fmt: skip
