"""`microgpt generate`: its options, and which of them go together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from microgpt.cli.options import Backend, Json, Last, RunPath, is_given
from microgpt.config import TrainConfig
from microgpt.errors import UsageError


def generate(
    ctx: typer.Context,
    run: RunPath,
    prompt: Annotated[str, typer.Option(help="What the text begins with; - reads standard input.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="Read the prompt from a file.")] = None,
    length: Annotated[int, typer.Option(help="Characters to write.", min=0)] = 500,
    num_samples: Annotated[int, typer.Option(help="Texts to write, each with the next seed.", min=1)] = 1,
    stop: Annotated[str, typer.Option(help="End a text before this comes up.")] = "",
    temperature: Annotated[float, typer.Option(help="How freely to choose; 0: always the likeliest.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Choose from the k likeliest characters; 0: from all.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Choose from the likeliest that have this probability together.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed writes the same text.")] = 0,
    interactive: Annotated[
        bool,
        typer.Option(
            "--interactive",
            help="Type in the terminal, and see what the model expects next, and what has surprised it.",
        ),
    ] = False,
    novelty: Annotated[
        bool,
        typer.Option("--novelty", help="Also say how much of it is copied from what the run was trained on."),
    ] = False,
    text: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --novelty: where that text lies now.", show_default="where it was"
        ),
    ] = None,
    last: Last = False,
    backend: Backend = TrainConfig.backend,
    json: Json = False,
) -> None:
    """Write text with a trained model."""
    if prompt and prompt_file is not None:
        raise UsageError("--prompt and --prompt-file: give one of them")
    if interactive:
        unused = [
            name for name in ("length", "num_samples", "stop", "novelty", "json") if is_given(ctx, name)
        ]
        if unused:
            raise UsageError(f"--interactive: leave --{unused[0].replace('_', '-')} away")
        if prompt == "-" or prompt_file == Path("-"):
            raise UsageError(
                "--interactive reads what you type from standard input: the prompt cannot be there"
            )
        from microgpt.commands.generate_interactively import generate_interactively

        generate_interactively(
            run, prompt, prompt_file, last=last, backend=backend,
            temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
        )  # fmt: skip
        return
    if text is not None and not novelty:
        raise UsageError("--text says where the text for --novelty lies: add --novelty")
    if text == Path("-") and (prompt == "-" or prompt_file == Path("-")):
        raise UsageError("--text - and --prompt -: only one of them can be standard input")
    from microgpt.commands.generate import generate

    generate(
        run, prompt, prompt_file, length, num_samples, stop, novelty=novelty, text=text, last=last,
        backend=backend, as_json=json,
        temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
    )  # fmt: skip
