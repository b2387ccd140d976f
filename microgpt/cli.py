"""The command line: the commands and their options. Heavy modules are imported only within the commands."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from microgpt_kernels import BACKENDS, BackendError, unusable_package

from microgpt import __version__
from microgpt.bounds import MAX_XRAY_CHARACTERS, XRAY_CHARACTERS
from microgpt.config import ORDERS, SCHEDULES, TrainConfig, read_toml
from microgpt.errors import MicrogptError, UsageError, shown_path
from microgpt.machine.address_space import check_address_space
from microgpt.model.architecture import ACTIVATIONS, ATTENTION_SCALES, DTYPES, INITS, POSITIONS
from microgpt.model.heads import HEAD_LAYOUTS
from microgpt.recipes import RECIPES
from microgpt.terminal.interruption import INTERRUPTED
from microgpt.terminal.streams import lost
from microgpt.terminal.usage import OneLineErrors

if TYPE_CHECKING:
    from microgpt.report.beside import Beside

app = typer.Typer(
    cls=OneLineErrors,
    help="Train a small Transformer on your own text, in a minute, on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time
    add_completion=True,
)


def _choices(names: Sequence[str]) -> Callable[[str], list[str]]:
    """The words with which a shell completes an option."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


Json = Annotated[bool, typer.Option("--json", help="Results as JSON lines on standard output.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory or a checkpoint file.")]
Last = Annotated[
    bool, typer.Option("--last", help="Use the last weights, even if others had a lower validation loss.")
]
Backend = Annotated[
    str, typer.Option(help=f"What computes: {', '.join(BACKENDS)}.", autocompletion=_choices(BACKENDS))
]
# The exit code of a run that is done and saved, some of whose output could not be written.
OUTPUT_LOST = 4


def command(
    example: str, *, takes_more: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose help ends in an example, and whose errors are one sentence and an exit code.

    takes_more  whether its arguments may be options that it does not have itself
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                check_address_space()
                function(*args, **kwargs)
            except (MicrogptError, BackendError) as error:
                _stop(str(error), getattr(error, "exit_code", 1))
            except KeyboardInterrupt:
                _stop("interrupted", INTERRUPTED)
            except OSError as error:
                where = f"{shown_path(error.filename)}: " if error.filename else ""
                _stop(f"{where}{error.strerror or error}", 1)
            except ImportError as error:
                package = unusable_package(error)
                if package is None:
                    raise
                _stop(f"every command needs {package}", 1)
            except MemoryError as error:
                _stop(f"out of memory: {error}; use a smaller model, --batch-size or --seq-len", 1)
            except RuntimeError as error:
                if "can't start new thread" not in str(error):
                    raise
                _stop("the system allows this user no more threads (`ulimit -u`): end other programs", 1)

        return app.command(
            epilog=f"Example: microgpt {example}", context_settings={"ignore_unknown_options": takes_more}
        )(guarded)

    return decorate


def _stop(message: str, code: int) -> None:
    typer.echo(f"microgpt: {message}", err=True)
    raise typer.Exit(code)


@app.callback(invoke_without_command=True)
def version(
    version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@command("train my.txt --minutes 1")
def train(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The text: any UTF-8 file; - reads standard input.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Train for so long: chooses the steps, the sizes and what else is not given, "
            "whatever the other defaults say; holds out a tenth of the text, and adds n-grams."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(help="Training steps.")] = TrainConfig.steps,
    heads: Annotated[
        str,
        typer.Option(
            help="The widths of the heads: uniform, exponential, prime, pyramid, ones, or numbers like "
            "16+8+8+32 or 4x16; where layers differ, one of these for each, with | between.",
            autocompletion=_choices(list(HEAD_LAYOUTS)),
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
        typer.Option(help=f"Order of the sequences: {' or '.join(ORDERS)}.", autocompletion=_choices(ORDERS)),
    ] = TrainConfig.order,
    d_model: Annotated[int, typer.Option(help="Width of the model, in channels.")] = TrainConfig.d_model,
    n_layers: Annotated[int, typer.Option(help="Number of layers.")] = TrainConfig.n_layers,
    d_ff: Annotated[
        int | None, typer.Option(help="Width of the MLP in each layer.", show_default="d-model")
    ] = None,
    positions: Annotated[
        str,
        typer.Option(
            help=f"How it knows positions: {', '.join(POSITIONS)}.", autocompletion=_choices(POSITIONS)
        ),
    ] = TrainConfig.positions,
    activation: Annotated[
        str,
        typer.Option(
            help="The MLP's nonlinearity: relu, which turns negative numbers into 0, or relu2, its square.",
            autocompletion=_choices(ACTIVATIONS),
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
            autocompletion=_choices(ATTENTION_SCALES),
        ),
    ] = TrainConfig.attention_scale,
    init: Annotated[
        str,
        typer.Option(help=f"Embeddings at first: {' or '.join(INITS)}.", autocompletion=_choices(INITS)),
    ] = TrainConfig.init,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate.", show_default="0.16/d-model*sqrt(batch-size)")
    ] = None,
    beta2: Annotated[float | None, typer.Option(help="Adam's second beta.", show_default="0.99")] = None,
    schedule: Annotated[
        str,
        typer.Option(
            help=f"The rate over the steps: {', '.join(SCHEDULES)}.", autocompletion=_choices(SCHEDULES)
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
            help="Keep the weights of so many steps, in files of snapshots/ in the run's directory; half of "
            "them are of its first quarter, where most changes.",
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
        str, typer.Option(help=f"Numbers in {' or '.join(DTYPES)}.", autocompletion=_choices(DTYPES))
    ] = TrainConfig.dtype,
    replicas: Annotated[
        int | None,
        typer.Option(
            help="Train so many replicas of the model side by side, each on its own part of the text.",
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
            autocompletion=_choices(list(RECIPES)),
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
        and _is_given(ctx, name)
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


def _is_given(ctx: typer.Context, name: str) -> bool:
    """Whether the user has given an option on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@command('generate runs/my --prompt "Once" --length 500')
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
    from microgpt import commands

    if prompt and prompt_file is not None:
        raise UsageError("--prompt and --prompt-file: give one of them")
    if interactive:
        unused = [
            name for name in ("length", "num_samples", "stop", "novelty", "json") if _is_given(ctx, name)
        ]
        if unused:
            raise UsageError(f"--interactive: leave --{unused[0].replace('_', '-')} away")
        if prompt == "-" or prompt_file == Path("-"):
            raise UsageError(
                "--interactive reads what you type from standard input: the prompt cannot be there"
            )
        commands.generate_interactively(
            run, prompt, prompt_file, last=last, backend=backend,
            temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
        )  # fmt: skip
        return
    if text is not None and not novelty:
        raise UsageError("--text says where the text for --novelty lies: add --novelty")
    if text == Path("-") and (prompt == "-" or prompt_file == Path("-")):
        raise UsageError("--text - and --prompt -: only one of them can be standard input")
    commands.generate(
        run, prompt, prompt_file, length, num_samples, stop, novelty=novelty, text=text, last=last,
        backend=backend, as_json=json,
        temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
    )  # fmt: skip


@command("eval runs/my other.txt")
def eval(
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
    from microgpt import commands

    commands.evaluate(
        run, file, skip_unknown=skip_unknown, ladder=ladder, last=last, backend=backend, as_json=json
    )


@command("xray runs/my --out page.html")
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
        typer.Option(help="Look at so many, from the beginning of the text.", min=2, max=MAX_XRAY_CHARACTERS),
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
    from microgpt import commands

    commands.xray(
        run, file, characters=characters, skip_unknown=skip_unknown, shapley=shapley, film=film, out=out,
        with_model=model, last=last, backend=backend, as_json=json,
    )  # fmt: skip


@command("export page runs/my --out page.html")
def export(
    what: Annotated[
        str, typer.Argument(metavar="page", help="One HTML file, in which the model reads and writes.")
    ],
    run: RunPath,
    out: Annotated[
        Path | None, typer.Option(help="Where to write it.", show_default="page.html in the run's directory")
    ] = None,
    large: Annotated[bool, typer.Option("--large", help="Also write a page of more than 8 MB.")] = False,
    last: Last = False,
    json: Json = False,
) -> None:
    """Make one file of a model that opens in any browser, without a network: to type or to send on."""
    from microgpt import commands

    commands.export(what, run, out, last=last, large=large, as_json=json)


@command("info runs/my")
def info(run: RunPath, json: Json = False) -> None:
    """What a checkpoint holds."""
    from microgpt import commands

    commands.info(run, as_json=json)


@command("report runs/my runs/other --out page.html")
def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Directories of runs, and of races.")
    ],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    follow: Annotated[
        bool, typer.Option("--follow", help="Write it again and again, until none of the runs goes on.")
    ] = False,
    json: Json = False,
) -> None:
    """A page with the curves of runs, what differs between them, and what races have found."""
    from microgpt.report.command import report

    report(directories, out, follow=follow, as_json=json)


@command("runs")
def runs(
    directory: Annotated[Path, typer.Argument(help="Look for runs in it and below.")] = Path("runs"),
    json: Json = False,
) -> None:
    """A table of the runs below a directory: text, steps, losses and age."""
    from microgpt import commands

    commands.runs(directory, as_json=json)


@command("backends")
def backends(json: Json = False) -> None:
    """Which backends can run here, and why the others cannot."""
    from microgpt import commands

    commands.backends(as_json=json)


@command("bench 100")
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


@command("race my.txt --layouts uniform,exponential --seeds 20 --steps 3000", takes_more=True)
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
    settings = {name: ctx.params[name] for name in names if _is_given(ctx, name)}
    done = race(
        words or [], across or [], settings, n_processes=processes, out=out, dry_run=dry_run, as_json=json
    )
    if not done:
        raise typer.Exit(INTERRUPTED)


@command("corpus shakespeare --out data/shakespeare.txt")
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
    from microgpt import commands

    commands.corpus(name, out, as_json=json)
