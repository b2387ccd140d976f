"""What the options of several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from microgpt_kernels import BACKENDS


def choices(names: Sequence[str]) -> Callable[[str], list[str]]:
    """The words with which a shell completes an option."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Results as JSON lines on standard output.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory or a checkpoint file.")]
Last = Annotated[
    bool, typer.Option("--last", help="Use the last weights, even if others had a lower validation loss.")
]
Backend = Annotated[
    str, typer.Option(help=f"What computes: {', '.join(BACKENDS)}.", autocompletion=choices(BACKENDS))
]


def is_given(ctx: typer.Context, name: str) -> bool:
    """Whether the user has given an option on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
