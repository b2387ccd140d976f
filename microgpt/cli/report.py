"""`microgpt report`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Json


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Directories of runs, and of races.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The page to write.",
            show_default="report.html, in the directory of a single run, and else here",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Write it again and again, until none of the runs goes on.")
    ] = False,
    json: Json = False,
) -> None:
    """A page with the curves of runs, what differs between them, and what races have found."""
    from microgpt.report.command import report

    report(directories, out, follow=follow, as_json=json)
