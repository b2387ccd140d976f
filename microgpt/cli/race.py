"""`microgpt race`: its own options; those of `train` among its words are read by the race."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Json, is_given
from microgpt.terminal.interruption import INTERRUPTED


def race(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT... [OPTIONS OF TRAIN]",
            help="The texts, and options of `microgpt train`: one with several values, as --heads "
            "uniform,ones, makes an entrant of each; --layouts is another name of --heads. Or a plan, "
            "FILE.toml. Or the directory of a race.",
            show_default=False,
        ),
    ] = None,
    across: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTION=VALUES",
            help="Hold the race once with each of these values, as seq-len=32,128; may be given again.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each entrant that are judged.")] = 40,
    tuning_seeds: Annotated[
        int, typer.Option(help="Runs for each rate that is tried; 0: all have the rate of the rule.")
    ] = 10,
    rates: Annotated[int, typer.Option(help="Rates to try at first.")] = 5,
    epochs: Annotated[
        float, typer.Option(help="How often the text is read, where --steps is not given.")
    ] = 1.0,
    smallest_difference: Annotated[
        float, typer.Option(help="Bits per character; smaller differences are of no interest.")
    ] = 0.005,
    equal_seconds: Annotated[
        bool,
        typer.Option(
            "--equal-seconds/--no-equal-seconds",
            help="Also race with the steps that take as long as those of the first entrant.",
        ),
    ] = True,
    processes: Annotated[
        int | None, typer.Option(help="Runs at a time.", show_default="one for each core")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory of the race.", show_default="races/<name of the text>")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many runs, how long and how much memory; no more.")
    ] = False,
    json: Json = False,
) -> None:
    """Find out which of several settings learns better, and by how much, in many paired runs."""
    from microgpt.race.command import race

    names = ("seeds", "tuning_seeds", "rates", "epochs", "smallest_difference", "equal_seconds")
    settings = {name: ctx.params[name] for name in names if is_given(ctx, name)}
    done = race(
        words or [], across or [], settings, n_processes=processes, out=out, dry_run=dry_run, as_json=json
    )
    if not done:
        raise typer.Exit(INTERRUPTED)
