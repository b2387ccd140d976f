"""`microgpt train`: its options, those of the run and those of the command alone."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from microgpt.cli.options import Backend, Json, choices, is_given
from microgpt.config import ORDERS, SCHEDULES, TrainConfig, read_toml
from microgpt.errors import MicrogptError, UsageError
from microgpt.model.architecture import ACTIVATIONS, ATTENTION_SCALES, DTYPES, INITS, POSITIONS
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.recipes import RECIPES
from microgpt.terminal.interruption import INTERRUPTED
from microgpt.terminal.streams import lost

if TYPE_CHECKING:
    from microgpt.report.beside import Beside

# The exit code of a run that is done and saved, some of whose output could not be written.
OUTPUT_LOST = 4


def train(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The text: any UTF-8 file; - reads standard input.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for this many minutes: chooses the steps, the sizes and what else is not given, "
            "whatever the other defaults say; holds out a tenth of the text, and adds n-grams."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps.")] = TrainConfig.steps,
    heads: Annotated[
        str,
        typer.Option(
            help="The widths of the heads: uniform, exponential, prime, pyramid, ones, or numbers like "
            "16+8+8+32 or 4x16; where layers differ, one of these for each, with | between.",
            autocompletion=choices(list(HEAD_LAYOUTS)),
        ),
    ] = TrainConfig.heads,
    backend: Backend = TrainConfig.backend,
    seq_len: Annotated[int, typer.Option(help="How many characters the model sees.")] = TrainConfig.seq_len,
    stride: Annotated[
        int | None,
        typer.Option(
            help="Characters from the beginning of one sequence to that of the next.", show_default="seq-len"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Sequences in each step.")] = TrainConfig.batch_size,
    order: Annotated[
        str,
        typer.Option(help=f"Order of the sequences: {' or '.join(ORDERS)}.", autocompletion=choices(ORDERS)),
    ] = TrainConfig.order,
    d_model: Annotated[int, typer.Option(help="Width of the model, in channels.")] = TrainConfig.d_model,
    n_layers: Annotated[int, typer.Option(help="Number of layers.")] = TrainConfig.n_layers,
    d_ff: Annotated[
        int | None, typer.Option(help="Width of the MLP in each layer.", show_default="d-model")
    ] = None,
    positions: Annotated[
        str,
        typer.Option(
            help=f"How it knows positions: {', '.join(POSITIONS)}.", autocompletion=choices(POSITIONS)
        ),
    ] = TrainConfig.positions,
    activation: Annotated[
        str,
        typer.Option(
            help="The MLP's nonlinearity: relu, which turns negative numbers into 0, or relu2, its square.",
            autocompletion=choices(ACTIVATIONS),
        ),
    ] = TrainConfig.activation,
    token_shift: Annotated[
        bool,
        typer.Option(
            "--token-shift/--no-token-shift",
            help="Half of what each layer reads at a character comes from the character before it.",
        ),
    ] = TrainConfig.token_shift,
    attention_scale: Annotated[
        str,
        typer.Option(
            help="The factor of attention scores in a head of width D: sqrt, which is 1/sqrt(D), or linear, "
            "which is 4/D.",
            autocompletion=choices(ATTENTION_SCALES),
        ),
    ] = TrainConfig.attention_scale,
    init: Annotated[
        str,
        typer.Option(help=f"Embeddings at first: {' or '.join(INITS)}.", autocompletion=choices(INITS)),
    ] = TrainConfig.init,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default="0.16/d-model*sqrt(batch-size)")
    ] = None,
    beta2: Annotated[float | None, typer.Option(help="Adam's second beta.", show_default="0.99")] = None,
    schedule: Annotated[
        str,
        typer.Option(
            help=f"The rate over the steps: {', '.join(SCHEDULES)}.", autocompletion=choices(SCHEDULES)
        ),
    ] = TrainConfig.schedule,
    min_lr: Annotated[
        float | None,
        typer.Option(help="Learning rate at the end of a schedule.", show_default="0; cosine: lr/10"),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(help="Steps in which the rate rises to --lr.", show_default="steps/10, at most 100"),
    ] = None,
    clip: Annotated[
        float, typer.Option(help="Scale gradients down to this norm; 0: never.")
    ] = TrainConfig.clip,
    weight_decay: Annotated[
        float, typer.Option(help="How fast weights shrink; biases and layer norms do not.")
    ] = TrainConfig.weight_decay,
    val_fraction: Annotated[
        float, typer.Option(help="Hold out this part of the text, at its end, to evaluate on.")
    ] = TrainConfig.val_fraction,
    eval_every: Annotated[
        int | None, typer.Option(help="Steps between evaluations.", show_default="at the end")
    ] = None,
    sample_every: Annotated[
        int | None, typer.Option(help="Steps between samples.", show_default="at the end")
    ] = None,
    snapshots: Annotated[
        int | None,
        typer.Option(
            help="How many times to keep the weights along the way, in files of snapshots/ in the run's "
            "directory; half of them are of its first quarter, where most changes.",
            show_default="none",
        ),
    ] = None,
    ngrams: Annotated[
        int,
        typer.Option(
            help="Also predict from a table of what has followed each sequence of this many characters less "
            "one, and mix both predictions: as is best for the held-out text, or half and half where nothing "
            "is held out; 0: do not. Good: 6."
        ),
    ] = TrainConfig.ngrams,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = TrainConfig.seed,
    dtype: Annotated[
        str, typer.Option(help=f"Numbers in {' or '.join(DTYPES)}.", autocompletion=choices(DTYPES))
    ] = TrainConfig.dtype,
    replicas: Annotated[
        int | None,
        typer.Option(
            help="How many replicas of the model train side by side, each on its own part of the text.",
            show_default="with --local-steps: one for each process of mpiexec",
        ),
    ] = None,
    local_steps: Annotated[
        int | None,
        typer.Option(
            help="Let replicas take this many steps by themselves before they meet, for slow networks."
        ),
    ] = None,
    outer_lr: Annotated[
        float, typer.Option(help="Rate of the step that replicas take together when they meet.")
    ] = TrainConfig.outer_lr,
    outer_momentum: Annotated[
        float, typer.Option(help="Momentum of that step.")
    ] = TrainConfig.outer_momentum,
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads, at most one for each of a batch's shards.",
            show_default="all cores; 1 for small steps",
        ),
    ] = None,
    memory_cap: Annotated[
        str, typer.Option(help="Most memory for its arrays, like 2GiB; none: no cap.")
    ] = TrainConfig.memory_cap,
    out: Annotated[
        Path | None, typer.Option(help="Directory for the results.", show_default="runs/<name of the file>")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with the run in this directory.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="RUN", help="Begin with the weights of this run instead of random ones."
        ),
    ] = None,
    extend_vocabulary: Annotated[
        bool, typer.Option("--extend-vocabulary", help="With --from: add the text's new characters.")
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Several options at once, which others can override. plain: the simple settings of earlier "
            "versions.",
            autocompletion=choices(list(RECIPES)),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Read options from a file; those on the command line win."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Keep a page with the curves of the run in its directory.")
    ] = False,
    json: Json = False,
) -> None:
    """Train a model on a text file."""
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in ctx.params.items()
        if name not in ("minutes", "recipe", "resume", "config", "report", "json", "extend_vocabulary")
        and is_given(ctx, name)
    }
    from microgpt.machine.team import joined

    team = joined()
    if team is not None and not team.leads:
        from microgpt.training.together import follow

        raise typer.Exit(follow(team))
    from microgpt.console import Display
    from microgpt.training.start import start

    display = Display(as_json=json)
    kept: Beside | None = None
    try:
        with contextlib.ExitStack() as stack:
            if report:
                from microgpt.report.beside import beside

                kept = stack.enter_context(beside(display))
            result = start(
                _of_file(config, minutes) | given,
                kept or display,
                minutes=minutes,
                recipe=recipe,
                resume=resume,
                extend_vocabulary=extend_vocabulary,
                team=team,
            )
    finally:
        display.close()
        if team is not None:
            team.dismiss()
    display.finished(result)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    missing = _lost(result.lost, kept.problem if kept is not None else None)
    if missing:
        typer.echo(f"microgpt: the run is done and saved, but {missing}", err=True)
        raise typer.Exit(OUTPUT_LOST)


def _of_file(config: Path | None, minutes: float | None) -> dict[str, Any]:
    """The options of the file of --config. Raises UsageError."""
    try:
        options = {} if config is None else read_toml(config)
    except MicrogptError as error:
        raise UsageError(str(error)) from None
    if minutes is not None:
        options.pop("steps", None)  # of a file: the command line wins
    return options


def _lost(*files: str | None) -> str:
    """Which part of a run's output could not be written, apart from its checkpoint."""
    losses = [file for file in files if file]
    for name, stream in (("output", sys.stdout), ("error", sys.stderr)):
        error = lost(stream)
        if error is not None:
            losses.append(f"standard {name} was lost: {error.strerror or error}")
    return "; ".join(losses)
