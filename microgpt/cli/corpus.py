"""`microgpt corpus`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Json


def corpus(
    name: Annotated[
        str,
        typer.Argument(
            help="tales; shakespeare, which is downloaded; or nearest, retrieval, mixed, mixed-2 or mixed-3."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("data/input.txt"),
    json: Json = False,
) -> None:
    """Write the tales or puzzles for attention, or download the usual tinyshakespeare."""
    from microgpt.commands.corpus import corpus

    corpus(name, out, as_json=json)
