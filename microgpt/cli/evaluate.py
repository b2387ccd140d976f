"""`microgpt eval`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Backend, Json, Last, RunPath
from microgpt.config import TrainConfig


def evaluate(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="The text to predict.")],
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out the characters that the model does not know.")
    ] = False,
    ladder: Annotated[
        bool,
        typer.Option(
            "--ladder",
            help="Beside the loss, what n-gram models and compressors reach that have the same text to learn "
            "from; of the run's own text, on the part that it held out.",
        ),
    ] = False,
    last: Last = False,
    backend: Backend = TrainConfig.backend,
    json: Json = False,
) -> None:
    """The loss over a whole text: nats and bits per character, and perplexity."""
    from microgpt.commands.evaluate import evaluate

    evaluate(run, file, skip_unknown=skip_unknown, ladder=ladder, last=last, backend=backend, as_json=json)
