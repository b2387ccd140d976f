"""Training steps on an NVIDIA GPU, and how near they are to what the GPU can do.

    python -m benchmarks.gpu_steps [--sizes ...] [--backends cublas,cublas-tf32] [--rounds 5] [--sanitize]

A step of a small model is bound by its number of kernels, one of a large model by its matrix products. So two
limits are measured in the same rounds: a graph of as many kernels that do nothing, and a large product of the
same precision. GFLOP/s counts matrix products alone, as in benchmarks.peers. The CPU's rate is shown for
comparison. With --sanitize some steps of a small model are made and nothing is timed: for compute-sanitizer.
"""

from __future__ import annotations

import json as json_lines
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.peers.__main__ import chosen
from benchmarks.peers.problem import GPU_SIZES
from microgpt.config import TrainConfig
from microgpt.errors import MicrogptError
from microgpt.machine.backends import load_backend
from microgpt.machine.budget import Budget
from microgpt.model.placed import place
from microgpt.recipes import RECIPES
from microgpt.training.trainer import LOG_SLOTS, Trainer, threads_for

V = 65
SMALL = {"seq_len": 40, "batch_size": 2, "d_model": 12, "heads": "1+3+8", "n_layers": 1}
PRODUCT = 4096  # rows and columns of the matrices with which the GPU's peak rate is measured
SECONDS = 0.5  # the approximate length of a turn


@dataclass(frozen=True)
class GpuStep:
    """One size on one backend; times in microseconds."""

    size: str
    backend: str
    step_us: float
    steps_per_s: float
    launches: int  # in a step: kernels and products
    floor_us: float  # the time of a graph of as many kernels that do nothing
    gflops: float  # the rate of the step's products
    peak_gflops: float  # the rate of one large product
    cpu_steps_per_s: float | None


def made(backend: str, options: dict[str, Any]) -> Trainer:
    """A trainer for a text of random characters."""
    k = load_backend(backend)
    config = TrainConfig(file="noise", backend=backend, **RECIPES["plain"] | options)
    architecture = config.architecture(V)
    k.set_threads(threads_for(k, architecture, config))
    ids = np.random.default_rng(0).integers(0, V, 1_000_000).astype(np.uint8)
    trainer = Trainer(place(k, architecture, Budget(None)), config, ids)
    trainer.compile()
    return trainer


def seconds(work: Callable[[int], Any], rounds: int) -> float:
    """The median time of one of n repetitions, where `work(n)` makes n and waits for them."""
    work(2)  # the first step is not captured
    n = 1
    while (taken := clocked(work, n)) < SECONDS / 4 and n < LOG_SLOTS:
        n *= 2
    n = max(1, min(LOG_SLOTS, round(n * SECONDS / taken)))
    return statistics.median(clocked(work, n) / n for _ in range(rounds))


def clocked(work: Callable[[int], Any], n: int) -> float:
    begin = time.perf_counter()
    work(n)
    return time.perf_counter() - begin


def repeated(k: ModuleType, step: Callable[[Any], None], state: Any) -> Callable[[int], Any]:
    """work(n) for `seconds`, of which each is a replay of one graph."""
    steps = k.compile(step)

    def work(n: int) -> None:
        steps(n, state)
        k.to_host(state[0])

    return work


def measure(
    size: str, backend: str, options: dict[str, Any], rounds: int, *, beside_cpu: bool = True
) -> GpuStep:
    """Measures one size on one backend."""
    trainer = made(backend, options)
    k, gpu = trainer.k, trainer.placed.param.device
    before = gpu.n_asked
    trainer.advance(1)  # it is run, and then captured: everything is asked for twice
    n_launches = (gpu.n_asked - before) // 2

    def nothing(state: Any) -> None:
        for _ in range(n_launches):
            k.clock_advance(state[0])

    def product(state: Any) -> None:
        k.linear_forward(*state)

    # a clock that has stopped: each kernel reads it and ends
    stopped = k.zeros((2,), np.int64)
    k.from_host(stopped, np.array([0, 1]))
    shape = (min(PRODUCT, 64 * options.get("d_model", 64)),) * 2
    matrices = [k.zeros(shape, np.float32) for _ in range(3)]
    for matrix in matrices[1:]:  # zeros would be multiplied faster
        k.from_host(matrix, np.random.default_rng(0).normal(size=shape))
    step = seconds(trainer.advance, rounds)
    floor = seconds(repeated(k, nothing, (stopped,)), rounds)
    peak = (
        2 * shape[0] ** 3 / seconds(repeated(k, product, (*matrices, k.zeros(shape[:1], np.float32))), rounds)
    )
    cpu = seconds(made("crystal", options).advance, rounds) if beside_cpu else None
    flop = trainer.placed.architecture.flop_per_step(trainer.config.batch_size)
    return GpuStep(
        size,
        backend,
        1e6 * step,
        1 / step,
        n_launches,
        1e6 * floor,
        flop / step / 1e9,
        peak / 1e9,
        cpu and 1 / cpu,
    )


def line(row: GpuStep) -> str:
    cpu = f"{row.cpu_steps_per_s:>11,.1f}" if row.cpu_steps_per_s else f"{'':>11}"
    return (
        f"{row.size:<9} {row.backend:<12} {row.step_us:>9,.0f} us {row.steps_per_s:>9,.1f} {row.launches:>8} "
        f"{row.step_us / row.floor_us:>9.1f}x {row.gflops:>9,.0f} {row.gflops / row.peak_gflops:>8.0%} {cpu}"
    )


def main(
    sizes: Annotated[str | None, typer.Option(help="Which sizes.", show_default="all")] = None,
    backends: Annotated[str, typer.Option(help="Which backends.")] = "cublas,cublas-tf32",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each measurement.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Lines of JSON on standard output.")] = False,
    sanitize: Annotated[
        bool, typer.Option("--sanitize", help="Some steps of a small model, untimed.")
    ] = False,
) -> None:
    """Training steps on an NVIDIA GPU, and how near they are to what it can do."""
    try:
        if sanitize:
            print(f"loss {made('cublas', SMALL).advance(3).loss[-1]:.4f}")
            return
        names = chosen(sizes, GPU_SIZES, "--sizes")
        print(load_backend("cublas").describe(), file=sys.stderr)
        if not json:
            print(
                f"{'size':<9} {'backend':<12} {'step':>12} {'steps/s':>9} {'launches':>8} {'of floor':>10} "
                f"{'GFLOP/s':>9} {'of peak':>8} {'CPU steps/s':>11}"
            )
        for size in names:
            for backend in backends.split(","):
                row = measure(size, backend, GPU_SIZES[size], rounds)
                print(json_lines.dumps(asdict(row)) if json else line(row), flush=True)
    except MicrogptError as error:
        print(f"gpu_steps: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
