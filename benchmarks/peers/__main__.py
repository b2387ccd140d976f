"""Compares the speed of our backends with PyTorch and JAX: they train the same model, in turns.

    python -m benchmarks.peers [FILE] [--sizes ...] [--systems ...] [--rounds 5] [--threads 2] [--json]
    python -m benchmarks.peers --gpu

Every system has a separate process for each number of threads, and trains the same float32 model from the
same initial values on the same batches, with the same Adam. agreement.py checks this, and a difference ends
the benchmark. Then the systems take turns, one at a time, so that other work on the machine affects all of
them. In a round each system has one turn; the median over the rounds is shown. Compiling and warming up are
not measured; reading the losses is. A batch of one sequence runs on one thread, larger ones on one thread and
on as many as asked for.

GFLOP/s counts matrix products alone: 2*N*K*M for a linear map on N rows, twice that backward; for attention
the (T+1)/2 keys that a query may see on the average, in two products forward and four backward. The peak is
what OpenBLAS reaches on large matrices, measured in the same rounds.

With --gpu the backends on a GPU stand beside PyTorch on the same GPU, in float32 and in TF32, at sizes for a
GPU; `python -m benchmarks.gpu_steps` says how near they are to the GPU's own limits.
"""

from __future__ import annotations

import json as json_lines
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from microgpt.errors import MicrogptError, UsageError
from microgpt.machine.backends import load_backend
from microgpt.machine.cores import available_cores
from microgpt.text.reading import read_text

from . import table
from .agreement import Beginning, begin, check
from .problem import GPU_SIZES, SIZES, Problem
from .systems import GPU_SYSTEMS, PEAK, SYSTEMS
from .table import Rates
from .turns import Runner

KNOWN = SYSTEMS | GPU_SYSTEMS | {"sgemm": PEAK}


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def beginning_of(runner: Runner) -> Beginning:
    return begin(lambda n: runner.run(n)[1], runner.state)


def measure(
    size: str, problem: Problem, systems: list[str], thread_counts: list[int], rounds: int, seconds: float
) -> list[Rates]:
    """The rows of the table for one size."""
    rows, runners, beginnings = [], {}, {}
    for threads in thread_counts:
        for system in systems:
            row = Rates(size, system, threads)
            rows.append(row)
            note(f"{size}: starting {system} with {threads} thread{'s' * (threads > 1)} ...")
            runner = Runner(KNOWN[system], problem, threads)
            try:
                if system != "sgemm":
                    beginnings[f"{system} ({threads})"] = beginning_of(runner)
                runner.settle(seconds)
                runners[system, threads] = row, runner
            except MicrogptError as error:
                row.reason = str(error)
    for tf32 in (False, True):
        alike = {name: values for name, values in beginnings.items() if ("tf32" in name) == tf32}
        if alike:
            check(problem, alike, tf32=tf32)
    for number in range(1, rounds + 1):
        note(f"{size}: round {number} of {rounds} ...")
        for row, runner in runners.values():
            row.rates.append(runner.rate())
    for _, runner in runners.values():
        runner.close()
    return rows


def chosen(text: str | None, known: dict[str, Any], option: str) -> list[str]:
    """The names in a text like 'a,b', each of which must be known; all known names for None."""
    names = list(known) if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(f"{option}: there is no {name!r}; there are {', '.join(known)}")
    return names


def main(
    file: Annotated[Path, typer.Argument(help="The text to train on.")] = Path("data/input.txt"),
    sizes: Annotated[str | None, typer.Option(help="Which sizes.", show_default="all")] = None,
    systems: Annotated[str | None, typer.Option(help="Which systems.", show_default="all")] = None,
    gpu: Annotated[bool, typer.Option("--gpu", help="On a GPU, at sizes for one.")] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each system.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads for batches of several sequences.")] = 2,
    seconds: Annotated[float, typer.Option(min=0.01, help="About how long a turn is.")] = 0.7,
    json: Annotated[bool, typer.Option("--json", help="Lines of JSON on standard output.")] = False,
) -> None:
    """Our backends beside PyTorch and JAX: the same model, trained in turns."""
    try:
        known_sizes, known_systems = (GPU_SIZES, GPU_SYSTEMS) if gpu else (SIZES, SYSTEMS)
        names = chosen(systems, known_systems, "--systems")
        problems = {size: Problem(file, known_sizes[size]) for size in chosen(sizes, known_sizes, "--sizes")}
        if gpu:
            print(load_backend("cublas").describe(), file=sys.stderr)
        else:
            names.append("sgemm")
        if threads > available_cores():
            raise UsageError(f"--threads {threads}: this machine has {available_cores()} to give")
        read_text(file)  # an unreadable file is reported before anything is measured
        versions = table.machine()
        print(json_lines.dumps(versions) if json else ", ".join(f"{k} {v}" for k, v in versions.items()))
        for size, problem in problems.items():
            thread_counts = [1] if gpu else sorted({1, min(threads, problem.config.batch_size)})
            rows = measure(size, problem, names, thread_counts, rounds, seconds)
            table.show(rows, problem, as_json=json)
        if not json:
            print(table.notes(names))
    except MicrogptError as error:
        note(f"peers: {error}")
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
