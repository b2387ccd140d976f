"""The command line: parses, calls, prints. Everything heavy is imported inside the commands."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from microgpt_kernels import BACKENDS, BackendError, unusable_package

from microgpt import __version__
from microgpt.config import DTYPES, ORDERS, POSITIONS, SCHEDULES, TrainConfig, read_toml
from microgpt.errors import MicrogptError, UsageError

app = typer.Typer(
    help="Train a small Transformer on your own text, in a minute, on your own machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time
    add_completion=True,
)

Json = Annotated[bool, typer.Option("--json", help="Results as JSON lines on standard output.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory or a checkpoint file.")]
Backend = Annotated[str, typer.Option(help=f"One of {', '.join(BACKENDS)}.")]
INTERRUPTED = 130


def command(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose errors are one sentence and an exit code, never a traceback."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
            sys.stdout.flush()  # here its errors are still ours
        except MicrogptError as error:
            _stop(str(error), error.exit_code)
        except BackendError as error:
            _stop(str(error), 1)
        except KeyboardInterrupt:
            _stop("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # whoever read our output has seen enough; do not complain again while closing it
            sys.stdout = None
            raise typer.Exit(0) from None
        except OSError as error:
            _stop(f"{error.filename or 'the output'}: {error.strerror or error}", 1)
        except ImportError as error:
            package = unusable_package(error)
            if package is None:
                raise
            _stop(f"every command needs {package}", 1)
        except MemoryError as error:
            _stop(f"out of memory: {error}; use a smaller model, --batch-size or --seq-len", 1)

    return app.command()(guarded)


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


@command
def train(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="The text: any UTF-8 file.")] = None,
    steps: Annotated[int, typer.Option(help="Steps of the optimizer.")] = TrainConfig.steps,
    heads: Annotated[
        str,
        typer.Option(
            help="uniform, exponential, prime, pyramid, ones, or widths like 16+8+8+32 or 4x16; "
            "one for each layer with | between."
        ),
    ] = TrainConfig.heads,
    backend: Backend = TrainConfig.backend,
    seq_len: Annotated[int, typer.Option(help="Characters that the model sees.")] = TrainConfig.seq_len,
    stride: Annotated[
        int | None, typer.Option(help="From one chunk to the next.", show_default="seq-len")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Sequences in a step.")] = TrainConfig.batch_size,
    order: Annotated[str, typer.Option(help=f"{' or '.join(ORDERS)}.")] = TrainConfig.order,
    d_model: Annotated[int, typer.Option(help="Width of the model.")] = TrainConfig.d_model,
    n_layers: Annotated[int, typer.Option(help="Layers.")] = TrainConfig.n_layers,
    d_ff: Annotated[int | None, typer.Option(help="Width of the MLP.", show_default="d-model")] = None,
    positions: Annotated[str, typer.Option(help=f"{', '.join(POSITIONS)}.")] = TrainConfig.positions,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = TrainConfig.lr,
    beta2: Annotated[float, typer.Option(help="Adam's second beta.")] = TrainConfig.beta2,
    schedule: Annotated[str, typer.Option(help=f"{' or '.join(SCHEDULES)}.")] = TrainConfig.schedule,
    min_lr: Annotated[float | None, typer.Option(help="Where the cosine ends.", show_default="lr/10")] = None,
    warmup: Annotated[int, typer.Option(help="Steps up to the full rate.")] = TrainConfig.warmup,
    clip: Annotated[float, typer.Option(help="Largest gradient norm; 0: any.")] = TrainConfig.clip,
    weight_decay: Annotated[float, typer.Option(help="Of the matrices.")] = TrainConfig.weight_decay,
    val_fraction: Annotated[
        float, typer.Option(help="The last part of the text, held out.")
    ] = TrainConfig.val_fraction,
    eval_every: Annotated[
        int | None, typer.Option(help="Steps between evaluations.", show_default="at the end")
    ] = None,
    sample_every: Annotated[
        int | None, typer.Option(help="Steps between samples.", show_default="at the end")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides everything random.")] = TrainConfig.seed,
    dtype: Annotated[str, typer.Option(help=f"{' or '.join(DTYPES)}.")] = TrainConfig.dtype,
    threads: Annotated[
        int | None,
        typer.Option(
            help="At most one for each of a batch's 4 shards.", show_default="all cores; 1 for small steps"
        ),
    ] = None,
    memory_cap: Annotated[str, typer.Option(help="Like 2GiB; none: no cap.")] = TrainConfig.memory_cap,
    out: Annotated[
        Path | None, typer.Option(help="The run directory.", show_default="runs/<name of the file>")
    ] = None,
    resume: Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with this run.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Options from a file; those given here win.")
    ] = None,
    json: Json = False,
) -> None:
    """Train a model on a text file."""
    given = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in ctx.params.items()
        if name not in ("resume", "config", "json") and _is_given(ctx, name)
    }
    if resume is not None and out is not None:
        raise UsageError("--resume goes on in the directory of the run: leave --out away")
    saved, options = None, {}
    if resume is not None:
        from microgpt import checkpoint

        saved = checkpoint.load_state(resume)
        options = dataclasses.asdict(saved.train)
    try:
        options |= {} if config is None else read_toml(config)
        options |= given
        if resume is not None:
            options["out"] = str(resume if resume.is_dir() else resume.parent)
        if "file" not in options:
            raise UsageError("which text? microgpt train FILE")
        settings = TrainConfig(**options)
    except MicrogptError as error:
        hint = "; a resumed run keeps the sizes that it began with" if saved else ""
        raise UsageError(f"{error}{hint}") from None

    from microgpt import run
    from microgpt.report import Display

    display = Display(as_json=json)
    try:
        result = run.train(settings, display, saved)
    finally:
        display.close()
    display.finished(result)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)


def _is_given(ctx: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, and is not a default."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@command
def generate(
    run: RunPath,
    prompt: Annotated[str, typer.Option(help="What the text begins with; - reads standard input.")] = "",
    prompt_file: Annotated[Path | None, typer.Option(help="Read the prompt from a file.")] = None,
    length: Annotated[int, typer.Option(help="Characters to write.", min=0)] = 500,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest.")] = 0.8,
    top_k: Annotated[int, typer.Option(help="Only the k likeliest; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Only the likeliest that sum to p.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed writes the same text.")] = 0,
    backend: Backend = TrainConfig.backend,
    json: Json = False,
) -> None:
    """Write text with a trained model."""
    from microgpt import commands

    if prompt == "-":
        prompt = sys.stdin.read()
    elif prompt_file is not None:
        if prompt:
            raise UsageError("--prompt and --prompt-file: give one of them")
        prompt = commands.read_prompt(prompt_file)
    commands.generate(
        run, prompt, length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
        backend=backend, as_json=json,
    )  # fmt: skip


@command
def eval(
    run: RunPath,
    file: Annotated[Path, typer.Argument(help="The text to judge the model by.")],
    backend: Backend = TrainConfig.backend,
    json: Json = False,
) -> None:
    """The loss over a whole text: nats and bits per character, and perplexity."""
    from microgpt import commands

    commands.evaluate(run, file, backend=backend, as_json=json)


@command
def info(run: RunPath, json: Json = False) -> None:
    """What a checkpoint holds."""
    from microgpt import commands

    commands.info(run, as_json=json)


@command
def backends(json: Json = False) -> None:
    """Which backends can run here, and why the others cannot."""
    from microgpt import commands

    commands.backends(as_json=json)


@command
def bench(
    steps: Annotated[int, typer.Argument(help="Steps of each run.", min=1)] = 100,
    file: Annotated[Path | None, typer.Option(help="The text; without it, tales made on the spot.")] = None,
    seq_len: Annotated[int, typer.Option(help="Characters that the model sees.")] = 32,
    batch_size: Annotated[int, typer.Option(help="Sequences in a step.")] = 1,
    d_model: Annotated[int, typer.Option(help="Width of the model.")] = 64,
    n_layers: Annotated[int, typer.Option(help="Layers.")] = 2,
    d_ff: Annotated[int | None, typer.Option(help="Width of the MLP.", show_default="d_model")] = None,
    heads: Annotated[str | None, typer.Option(help="One layout.", show_default="all")] = None,
    backend: Annotated[str | None, typer.Option(help="One backend.", show_default="all usable")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads.", show_default="as train")] = None,
    roofline: Annotated[
        bool,
        typer.Option("--roofline", help="One step kernel by kernel, and how near each is to its limit."),
    ] = False,
    json: Json = False,
) -> None:
    """Every head layout on every usable backend: steps, average loss, time, steps/s."""
    if roofline:
        from microgpt.roofline import show
    else:
        from microgpt.bench import show
    show(
        steps, file, backend, heads, as_json=json,
        seq_len=seq_len, batch_size=batch_size, d_model=d_model, n_layers=n_layers, d_ff=d_ff,
        threads=threads,
    )  # fmt: skip


@command
def corpus(
    name: Annotated[str, typer.Argument(help="tales, which come with the program, or shakespeare.")],
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("data/input.txt"),
    json: Json = False,
) -> None:
    """Write the tales, or download the usual tinyshakespeare."""
    from microgpt import commands

    commands.corpus(name, out, as_json=json)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
