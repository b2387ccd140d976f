"""`microgpt bench`: its options, and which of its three measurements they ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Json
from microgpt.errors import UsageError


def bench(
    steps: Annotated[
        int, typer.Argument(help="Training steps of each row; with --scale of each turn, at most.", min=1)
    ] = 100,
    file: Annotated[
        Path | None, typer.Option(help="The text to train on.", show_default="tales made on the spot")
    ] = None,
    seq_len: Annotated[int, typer.Option(help="How many characters the model sees.")] = 32,
    batch_size: Annotated[
        int | None, typer.Option(help="Sequences in each step.", show_default="1; with --scale 32")
    ] = None,
    d_model: Annotated[int, typer.Option(help="Width of the model.")] = 64,
    n_layers: Annotated[int, typer.Option(help="Number of layers.")] = 2,
    d_ff: Annotated[int | None, typer.Option(help="Width of the MLP.", show_default="d_model")] = None,
    heads: Annotated[str | None, typer.Option(help="One layout of heads.", show_default="all")] = None,
    backend: Annotated[str | None, typer.Option(help="One backend.", show_default="all usable")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads.", show_default="as train")] = None,
    roofline: Annotated[
        bool,
        typer.Option(
            "--roofline", help="Instead one step, kernel by kernel, and how near each is to its limit."
        ),
    ] = False,
    scale: Annotated[
        bool,
        typer.Option(
            "--scale",
            help="Instead one model on 1, 2, 4 ... threads, and with mpiexec also in 2, 4 ... processes: "
            "how much faster it trains, and from which batch size on.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Every head layout on every usable backend: steps, average loss, time, steps/s."""
    if roofline and scale:
        raise UsageError("--roofline and --scale: give one of them")
    sizes = {"seq_len": seq_len, "d_model": d_model, "n_layers": n_layers, "d_ff": d_ff, "threads": threads}
    if scale:
        from microgpt.machine.team import joined

        team = joined()  # before anything starts threads
        from microgpt.measure import scale_table as measuring

        sizes["batch_size"] = 32 if batch_size is None else batch_size
        measuring.show(steps, file, backend, heads, team, as_json=json, **sizes)
        return
    if roofline:
        from microgpt.measure.roofline import show
    else:
        from microgpt.measure.bench import show
    sizes["batch_size"] = 1 if batch_size is None else batch_size
    show(steps, file, backend, heads, as_json=json, **sizes)
