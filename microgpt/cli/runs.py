"""`microgpt runs`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Json


def runs(
    directory: Annotated[Path, typer.Argument(help="Look for runs in it and below.")] = Path("runs"),
    json: Json = False,
) -> None:
    """A table of the runs below a directory: text, steps, losses and age."""
    from microgpt.commands.runs import runs

    runs(directory, as_json=json)
